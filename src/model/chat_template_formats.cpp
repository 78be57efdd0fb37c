// The formats that ship with ebb. Each is held to HF's own rendering by the goldens in
// tests/fixtures/templates; the hashes are those of published template texts.
#include "model/chat_template.h"

namespace ebb::model {
namespace {

ChatFormat chatml(std::string name, std::string default_system) {
  ChatFormat format;
  format.name = std::move(name);
  format.system = {"<|im_start|>system\n", "<|im_end|>\n"};
  format.user = {"<|im_start|>user\n", "<|im_end|>\n"};
  format.assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"};
  if (!default_system.empty()) {
    format.system_when_absent = SystemDefault::kInsert;
    format.default_system = std::move(default_system);
  }
  return format;
}

ChatFormat gemma3() {
  ChatFormat format;
  format.name = "gemma3";
  format.begin = "<bos>";
  format.user = {"<start_of_turn>user\n", "<end_of_turn>\n"};
  format.assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"};
  format.system = {format.user.prefix, "\n\n"};
  format.system_place = SystemPlace::kInsideUser;
  format.trim_turns = Trim::kYes;
  return format;
}

ChatFormat llama3(std::string name) {
  ChatFormat format;
  format.name = std::move(name);
  format.begin = "<|begin_of_text|>";
  format.system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"};
  format.user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"};
  format.assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"};
  format.trim_turns = Trim::kYes;
  format.trim_system = Trim::kYes;
  return format;
}

// The 3.1 and 3.2 templates always write a system turn with two dates. The second is fixed here: a
// study must not depend on the day it runs.
ChatFormat llama31() {
  ChatFormat format = llama3("llama3.1");
  format.system.prefix += "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
  format.system_when_absent = SystemDefault::kInsert;
  return format;
}

// For base models: no special tokens, only words that a language model has seen used like this.
ChatFormat plain() {
  ChatFormat format;
  format.name = "plain";
  format.system = {"", "\n\n"};
  format.user = {"User:\n", "\n\n"};
  format.assistant = {"Assistant:\n", "\n\n"};
  return format;
}

std::vector<KnownFormat> make_known_formats() {
  const std::string fixed_date =
      "chat template llama3.1: the template's \"Today Date\" is kept at 26 Jul 2024, its own "
      "fall-back, so "
      "that a study does not depend on the day it runs";
  return {
      {chatml("smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
       {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"},
       ""},
      {chatml("chatml", ""), {}, ""},
      {chatml("qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
       {"cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f"},
       ""},
      {gemma3(), {"7de1c58e208eda46e9c7f86397df37ec49883aeece39fb961e0a6b24088dd3c4"}, ""},
      {llama3("llama3"),
       {"ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122",
        "b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2"},
       ""},
      {llama31(),
       {"e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65",
        "5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4"},
       fixed_date},
      {plain(), {}, ""},
  };
}

}  // namespace

const std::vector<KnownFormat>& known_formats() {
  static const std::vector<KnownFormat> formats = make_known_formats();
  return formats;
}

}  // namespace ebb::model
