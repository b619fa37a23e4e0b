// The probe that says something (or nothing) and lets a Judge read the answer. See probe.hpp.
//
// A target that closes before the judge has decided gives what the judge says at the end; one that
// resets gives `Reset`.
#pragma once

#include <memory>
#include <string>

#include "dataplane/health/judge.hpp"
#include "dataplane/health/probe.hpp"

namespace lb::health {

class DialogueProbe : public Probe {
 public:
  struct Script {
    std::string say;
    std::unique_ptr<Judge> judge;
  };

  DialogueProbe(const ProbeSetting& setting, const Check& check, Done done, Script script);

 private:
  void connected() override { say(); }
  void say();
  void listen();
  void hear();

  Script script_;
  size_t said_ = 0;
};

}  // namespace lb::health
