"""What the suites that run Empalme beside other proxies share: namespaces, proxies, the admin API."""
