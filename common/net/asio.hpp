// The only include of Boost.Asio: 1.74 needs <utility> before it in C++20.
#pragma once

#include <utility>

#include <boost/asio.hpp>

namespace lb {
namespace asio = boost::asio;
}
