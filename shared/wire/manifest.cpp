#include "shared/wire/manifest.h"

#include <capnp/message.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "schemas/checkpoint.capnp.h"
#include "shared/base/text.h"
#include "shared/wire/convert.h"
#include "shared/wire/frame.h"

namespace strand {
namespace {

constexpr size_t kPartAlignment = 64;

capnp::Text::Reader text(const std::string& value) {
  return {value.c_str(), value.size()};
}

void read(schema::Manifest::Reader from, Manifest* to) {
  to->job.value = from.getJob();
  to->generation.value = from.getGeneration();
  to->step = from.getStep();
  to->next_row = from.getNextRow();
  to->job_toml = read_text(from.getJobToml());
  to->numerics = read_text(from.getNumerics());
  for (auto field : from.getDataset()) to->dataset.push_back({read_text(field.getName()), read_text(field.getValue())});
  to->digest = read_digest(from.getDigest());
  to->state_digest = read_digest(from.getStateDigest());
  for (auto part : from.getParts()) {
    to->parts.push_back({read_text(part.getFile()), part.getBytes(), read_digest(part.getChecksum())});
  }
  to->best = read_best(from.getBest());
}

void read(schema::PartHeader::Reader from, PartHeader* to) {
  to->step = from.getStep();
  to->next_row = from.getNextRow();
  for (auto name : from.getTensorNames()) to->tensor_names.push_back(read_text(name));
  to->blocks.reserve(from.getBlocks().size());
  for (auto block : from.getBlocks()) {
    to->blocks.push_back({block.getTensor(),
                          block.getBlock(),
                          block.getElements(),
                          {block.getWeights(), block.getFirstMoment(), block.getSecondMoment()}});
  }
}

}  // namespace

std::string encode_manifest(const Manifest& manifest) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<schema::Manifest>();
  root.setJob(manifest.job.value);
  root.setGeneration(manifest.generation.value);
  root.setStep(manifest.step);
  root.setNextRow(manifest.next_row);
  root.setJobToml(text(manifest.job_toml));
  root.setNumerics(text(manifest.numerics));
  auto dataset = root.initDataset(manifest.dataset.size());
  for (uint32_t i = 0; i < manifest.dataset.size(); ++i) {
    dataset[i].setName(text(manifest.dataset[i].name));
    dataset[i].setValue(text(manifest.dataset[i].value));
  }
  write_digest(root.initDigest(), manifest.digest);
  write_digest(root.initStateDigest(), manifest.state_digest);
  auto parts = root.initParts(manifest.parts.size());
  for (uint32_t i = 0; i < manifest.parts.size(); ++i) {
    parts[i].setFile(text(manifest.parts[i].file));
    parts[i].setBytes(manifest.parts[i].bytes);
    write_digest(parts[i].initChecksum(), manifest.parts[i].checksum);
  }
  write_best(root.initBest(), manifest.best, text);
  return seal_frame(FrameKind::kManifest, kManifestVersion, builder);
}

Result<Manifest> decode_manifest(std::string_view bytes) {
  Manifest manifest;
  STRAND_TRY(open_frame(bytes.data(), bytes.size(), FrameKind::kManifest, kManifestVersion, nullptr,
                        [&](capnp::MessageReader& reader) { read(reader.getRoot<schema::Manifest>(), &manifest); }));
  return manifest;
}

std::string encode_part_header(const PartHeader& header) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<schema::PartHeader>();
  root.setStep(header.step);
  root.setNextRow(header.next_row);
  auto names = root.initTensorNames(header.tensor_names.size());
  for (uint32_t i = 0; i < header.tensor_names.size(); ++i) names.set(i, text(header.tensor_names[i]));
  auto blocks = root.initBlocks(header.blocks.size());
  for (uint32_t i = 0; i < header.blocks.size(); ++i) {
    const PartBlock& block = header.blocks[i];
    blocks[i].setTensor(block.tensor);
    blocks[i].setBlock(block.block);
    blocks[i].setElements(block.elements);
    blocks[i].setWeights(block.checksum[0]);
    blocks[i].setFirstMoment(block.checksum[1]);
    blocks[i].setSecondMoment(block.checksum[2]);
  }
  std::string frame = seal_frame(FrameKind::kPartHeader, kManifestVersion, builder);
  frame.resize((frame.size() + kPartAlignment - 1) / kPartAlignment * kPartAlignment, '\0');
  return frame;
}

size_t part_header_bytes(std::string_view beginning) {
  if (beginning.size() < kFrameHeaderBytes) return 0;
  uint64_t payload = 0;
  std::memcpy(&payload, beginning.data() + 8, sizeof(payload));  // frame.h
  const size_t frame = kFrameHeaderBytes + static_cast<size_t>(std::min<uint64_t>(payload, kMaxFrameBytes));
  return (std::min(frame, kMaxFrameBytes) + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
}

Result<PartHeader> decode_part_header(std::string_view bytes, size_t* bytes_used) {
  PartHeader header;
  size_t frame = 0;
  STRAND_TRY(open_frame(bytes.data(), bytes.size(), FrameKind::kPartHeader, kManifestVersion, &frame,
                        [&](capnp::MessageReader& reader) { read(reader.getRoot<schema::PartHeader>(), &header); }));
  size_t end = (frame + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
  if (bytes.size() < end) return corrupt(concat("part header cut short: ", end, " bytes with its padding"));
  std::string_view padding = bytes.substr(frame, end - frame);
  if (std::any_of(padding.begin(), padding.end(), [](char c) { return c != '\0'; })) {
    return corrupt("part header damaged: its padding is not zero");
  }
  *bytes_used = end;
  return header;
}

}  // namespace strand
