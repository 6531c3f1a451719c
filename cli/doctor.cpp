#include "cli/doctor.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>

#include "ops/core/device.h"
#include "shared/base/machine.h"
#include "shared/base/text.h"
#include "shared/base/version.h"
#include "shared/net/transport.h"
#include "worker/trainer.h"

namespace strand {
namespace {

DoctorLine memory_line(uint64_t bytes) {
  const bool ok = bytes >= uint64_t{2} << 30;
  return {"memory", human_bytes(bytes), ok, ok ? "" : "training the 20M shape takes about 1 GiB; the build 2 GiB"};
}

DoctorLine disk_line() {
  struct statvfs disk {};
  if (statvfs(".", &disk) != 0) return {"free disk here", "cannot be read", false, "choose another folder for --dir"};
  const uint64_t bytes = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  const bool ok = bytes >= uint64_t{1} << 30;
  return {"free disk here", human_bytes(bytes), ok,
          ok ? "" : "checkpoints take 12 bytes per parameter each; free some space"};
}

DoctorLine files_line(uint64_t files) {
  const bool ok = files >= 1024;
  return {"open files", concat(files), ok, ok ? "" : "raise it: ulimit -n 4096"};
}

// Binding a local socket and a free port are what `strand run` and a cluster need.
DoctorLine network_line() {
  auto transport = make_zmq_transport();
  const auto port = transport->bind("tcp://127.0.0.1:0");
  if (!port.ok()) return {"network", port.error().message(), false, "loopback must be up"};
  const std::string path = (std::filesystem::temp_directory_path() / concat("strand-doctor-", getpid())).string();
  const auto ipc = transport->bind("ipc://" + path);
  if (!ipc.ok())
    return {"network", ipc.error().message(), false, "TMPDIR must name a writable folder with a short path"};
  return {"network", concat("loopback (", transport->endpoint_of(*port), " was free) and local sockets"), true, ""};
}

DoctorLine gpu_line() {
  std::string why;
  const auto devices = list_cuda_devices(&why);
  std::vector<std::string> names;
  for (const auto& device : devices) names.push_back(concat(device.name, " (", human_bytes(device.memory_bytes), ")"));
  return {"GPU", names.empty() ? "none: " + why : join(names, ", "), true, ""};
}

}  // namespace

std::vector<DoctorLine> doctor() {
  const Machine machine = this_machine();
  std::vector<DoctorLine> lines;
  lines.push_back({"strand", kStrandVersion, true, ""});
  lines.push_back({"processor", concat(machine.cpu_model, ", ", machine.cores, " cores"), true, ""});
  lines.push_back({"instruction sets", join(instruction_set_names(machine.instructions), ", "), true, ""});
  lines.push_back(memory_line(machine.memory_bytes));
  lines.push_back({"numerics", numerics_fingerprint(), true, ""});
  lines.push_back(
      {"bf16 matrix unit",
       machine.instructions.amx_bf16 ? "AMX: precision = \"auto\" is bf16" : "none: precision = \"auto\" is fp32", true,
       ""});
  lines.push_back(gpu_line());
  lines.push_back(disk_line());
  lines.push_back(files_line(machine.open_files));
  lines.push_back(network_line());
  return lines;
}

}  // namespace strand
