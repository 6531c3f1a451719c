// The program's version: workers of another one are refused.
#pragma once

namespace strand {
inline constexpr const char* kStrandVersion = "0.1.0";
}
