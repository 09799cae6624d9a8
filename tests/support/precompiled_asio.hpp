#pragma once
// As precompiled.hpp, for tests that include Asio's and Beast's headers.
#include "net/asio_precompiled.hpp"
#include "precompiled.hpp"
