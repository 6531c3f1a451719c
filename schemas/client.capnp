@0xe5702c4b91d8fa04;
# Between the command line and the coordinator. Commands are few, rare and for people, so arguments and answers are JSON;
# README.md lists them.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");

struct ClientRequest {
  # client -> coordinator. Every command may arrive twice, since the client asks again until it is answered: doing one twice
  # changes nothing more than doing it once. `submit` carries a token of the client's for that.

  command @0 :Text;
  # "submit", "jobs", "show", ... An unknown one is answered with badInput and the nearest known name.
  json @1 :Text;
  # A JSON object: the arguments.
}

struct ClientReply {
  # coordinator -> client.

  code @0 :UInt8 = 255;
  # 255: fine. Otherwise Common.ErrorCode.
  json @1 :Text;
  # A JSON document; with an error, the message as plain text.
}
