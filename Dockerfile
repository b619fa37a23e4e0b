# One image for every program; the manifests choose which one runs.
FROM debian:bookworm-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      cmake g++ ninja-build pkg-config libcpprest-dev libboost-dev nlohmann-json3-dev \
      prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev libyaml-cpp-dev libcli11-dev libssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt ./
COPY common common
COPY controller controller
COPY dataplane dataplane
COPY empalme empalme
COPY examples examples
RUN cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DEMPALME_TESTS=OFF \
    && cmake --build build -j 2 \
    && strip build/empalme-* build/empalme

FROM debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      libcpprest2.10 libprometheus-cpp-core1.0 libyaml-cpp0.7 libssl3 nftables keepalived \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/empalme /src/build/empalme-controller /src/build/empalme-dataplane \
     /src/build/empalme-demo-web /src/build/empalme-demo-load /usr/local/bin/
# Numeric, so that Kubernetes can tell that it is not root.
USER 65532:65532
CMD ["empalme", "--help"]
