#include <cstring>
#include <utility>

#include "shared/net/transport.h"

namespace strand {

Frame Frame::copy_of(const void* data, size_t bytes) {
  return from_string(std::string(static_cast<const char*>(data), bytes));
}

Frame Frame::from_string(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  return view_of(owner->data(), owner->size(), owner);
}

Frame Frame::view_of(const void* data, size_t bytes, std::shared_ptr<const void> owner) {
  Frame frame;
  frame.data_ = static_cast<const char*>(data);
  frame.size_ = bytes;
  frame.owner_ = std::move(owner);
  return frame;
}

}  // namespace strand
