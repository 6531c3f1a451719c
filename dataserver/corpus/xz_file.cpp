#include "dataserver/corpus/xz_file.h"

#include <lzma.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace strand {

struct XzFile::Decoder {
  int descriptor = -1;
  lzma_stream stream = LZMA_STREAM_INIT;
  std::vector<uint8_t> input = std::vector<uint8_t>(size_t{1} << 16);
  bool file_ended = false;
  bool ended = false;
  bool failed = false;

  // More input when there is none; false when the file cannot be read.
  bool fill() {
    if (stream.avail_in > 0 || file_ended) return true;
    ssize_t count = 0;
    do {
      count = ::read(descriptor, input.data(), input.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return false;
    file_ended = count == 0;
    stream.next_in = input.data();
    stream.avail_in = static_cast<size_t>(count);
    return true;
  }
};

XzFile::XzFile(int descriptor) : decoder_(std::make_unique<Decoder>()) {
  decoder_->descriptor = descriptor;
  decoder_->failed = lzma_stream_decoder(&decoder_->stream, kMostMemory, LZMA_CONCATENATED) != LZMA_OK;
}

XzFile::~XzFile() {
  lzma_end(&decoder_->stream);
}

ptrdiff_t XzFile::read(char* buffer, size_t capacity) {
  Decoder& decoder = *decoder_;
  decoder.stream.next_out = reinterpret_cast<uint8_t*>(buffer);
  decoder.stream.avail_out = capacity;
  while (!decoder.ended && !decoder.failed && decoder.stream.avail_out == capacity) {
    if (!decoder.fill()) {
      decoder.failed = true;
      break;
    }
    // After the file's end LZMA_FINISH answers LZMA_STREAM_END for a whole stream, LZMA_BUF_ERROR for a cut one.
    const lzma_ret result = lzma_code(&decoder.stream, decoder.file_ended ? LZMA_FINISH : LZMA_RUN);
    decoder.ended = result == LZMA_STREAM_END;
    decoder.failed = result != LZMA_OK && result != LZMA_STREAM_END;
  }
  const size_t count = capacity - decoder.stream.avail_out;
  if (count > 0) return static_cast<ptrdiff_t>(count);  // what came out before a failure is good; the failure is next
  return decoder.failed ? -1 : 0;
}

}  // namespace strand
