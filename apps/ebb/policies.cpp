// ebb policies: the catalogue.
#include <fmt/format.h>

#include "command.h"
#include "policy/catalogue.h"

namespace ebb::app {

void add_policies(CLI::App& app) {
  auto is_json = std::make_shared<bool>(false);
  auto is_markdown = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("policies", "List every eviction policy with its parameters");
  auto* json = command->add_flag("--json", *is_json, "as JSON");
  command->add_flag("--markdown", *is_markdown, "as docs/policies.md")->excludes(json);
  command->callback([is_json, is_markdown] {
    fmt::print("{}", *is_json       ? policy::catalogue_json()
                     : *is_markdown ? policy::catalogue_markdown()
                                    : policy::catalogue_text());
  });
}

}  // namespace ebb::app
