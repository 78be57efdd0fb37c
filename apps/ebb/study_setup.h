// What `run` and `plan` share: a study from a file or preset, its data, model and engine.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "experiment/conversation_record.h"
#include "experiment/study_memory.h"
#include "experiment/study_plan.h"
#include "experiment/study_run.h"
#include "model/chat_template.h"

namespace ebb::app {

struct StudyFlags {
  std::string study;  // a file or a preset's name
  std::string model, data, chat_template;
  int64_t limit = -1, max_new = -1, seed = -1;
  std::vector<std::string> settings;  // key=value
  ComputeFlags compute;

  void add_to(CLI::App& command);
};

// Everything opened; later members point into earlier ones.
struct OpenStudy {
  experiment::Study study;
  experiment::ConversationSet data;
  std::shared_ptr<const model::Model> model;
  std::string model_sha256;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::unique_ptr<model::ChatTemplate> format;
  std::unique_ptr<engine::Engine> engine;
  experiment::StudyContext context;
};

// Reads the study with the flags put over it. Touches no model.
experiment::Study read_study(const StudyFlags& flags);
std::unique_ptr<OpenStudy> open_study(const StudyFlags& flags);
// Opens tokenizer, format, engine and context of one whose study, data, model and hash are there.
// advice: what to do where it does not fit, for the message.
void open_rest(OpenStudy& open, const std::filesystem::path& model_path,
               const std::string& chat_template, const ComputeFlags& compute,
               const std::string& advice);

// --lanes.
void add_lanes(CLI::App& command, int& n_lanes);
// Puts these lanes and what memory allows into the options: a run and its plan must agree.
void set_limits(experiment::RunOptions& options, int n_lanes);

// Number of units, tokens, memory, and what the study can detect, as lines.
std::string plan_text(const OpenStudy& open, const experiment::StudyPlan& plan,
                      const experiment::RunOptions& options);
std::string time_text(double seconds);  // "34 s", "12 min", "2.5 h"

}  // namespace ebb::app
