@0x8b26e79d40f1ca05;
# The root of every message between processes. New kinds are added at the end; a number is never reused.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");
using Common = import "common.capnp";
using Worker = import "worker.capnp";
using Data = import "data.capnp";
using Client = import "client.capnp";

struct Message {
  header @0 :Common.Header;
  body :union {
    # A receiver drops and counts a kind that it does not know or that is not meant for it.

    nothing @1 :Void;
    # Never sent: the value of an empty message, refused by the receiver.
    hello @2 :Worker.Hello;
    welcome @3 :Worker.Welcome;
    refused @4 :Worker.Refused;
    assign @5 :Worker.Assign;
    heartbeat @6 :Worker.Heartbeat;
    stepReport @7 :Worker.StepReport;
    ack @8 :Worker.Ack;
    partSaved @9 :Worker.PartSaved;
    jobFinished @10 :Worker.JobFinished;
    jobFailed @11 :Worker.JobFailed;
    stop @12 :Worker.Stop;
    stopped @13 :Worker.Stopped;
    openDataset @14 :Data.OpenDataset;
    datasetStatus @15 :Data.DatasetStatus;
    fetchRows @16 :Data.FetchRows;
    rows @17 :Data.Rows;
    dataRefused @18 :Data.DataRefused;
    clientRequest @19 :Client.ClientRequest;
    clientReply @20 :Client.ClientReply;
  }
}
