#include "experiment/balanced_set.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "experiment/generator.h"

namespace ebb::experiment {
namespace {

constexpr size_t kTypes = 5;
constexpr size_t kDomains = 10;
constexpr uint64_t kSeed = 20;  // fixed: the same bank gives the same file

struct Shape {
  int n_tokens_min;        // estimated, before the scored turn
  std::optional<int> age;  // absent: as old as the length allows
};

constexpr int kShort = 0, kMedium = 900, kLong = 1600, kLongest = 2250;

// Of the ten cells of each kind: 2 short, 3 medium, 3 long, 2 longest; half with a young
// instruction.
const std::array<Shape, 10> kShapes = {{{kShort, 1},
                                        {kMedium, 2},
                                        {kLong, 2},
                                        {kLongest, 2},
                                        {kMedium, std::nullopt},
                                        {kLong, std::nullopt},
                                        {kShort, 2},
                                        {kLongest, std::nullopt},
                                        {kMedium, 2},
                                        {kLong, std::nullopt}}};

std::vector<const BankPair*> pairs_of(const ConversationBank& bank, const std::string& type,
                                      PairRelation relation, size_t n_expected) {
  std::vector<const BankPair*> out;
  for (const BankPair& pair : bank.pairs) {
    if (pair.conflict_type == type && pair.relation == relation) out.push_back(&pair);
  }
  if (out.size() != n_expected) {
    throw Error::make(
        ErrorKind::kBadData, "bank: type '{}': found {} {} pair(s), expected {}", type, out.size(),
        relation == PairRelation::kExclusive ? "exclusive" : "compatible", n_expected);
  }
  return out;
}

// Both orders of one pair in one domain; nothing else differs between the two.
void add_cell(const ConversationBank& bank, Recipe recipe, size_t number,
              std::vector<Conversation>& out) {
  // The kind's offset keeps lengths from going with types.
  const Shape& shape = kShapes[(number + 3 * static_cast<size_t>(recipe.kind)) % kShapes.size()];
  recipe.age = shape.age;
  recipe.n_tokens_min = shape.n_tokens_min;
  recipe.seed = kSeed;
  const std::string name = fmt::format("{}-{}-{}", conflict_kind_name(recipe.kind),
                                       recipe.pair->name, recipe.domain->name);
  recipe.draw_key = name;
  for (const PairOrder order : {PairOrder::kAsListed, PairOrder::kReversed}) {
    recipe.order = order;
    recipe.id = name + (order == PairOrder::kAsListed ? "-ab" : "-ba");
    out.push_back(compose(bank, recipe));
  }
}

}  // namespace

ConversationSet make_balanced_set(const ConversationBank& bank) {
  const std::vector<std::string> types = bank.conflict_types();
  if (types.size() != kTypes || bank.domains.size() != kDomains) {
    throw Error::make(ErrorKind::kBadData,
                      "bank: found {} conflict types and {} domains, expected {} and {}",
                      types.size(), bank.domains.size(), kTypes, kDomains);
  }
  constexpr std::array kKinds = {ConflictKind::kOverriding, ConflictKind::kConflicting,
                                 ConflictKind::kAdded, ConflictKind::kWithdrawn,
                                 ConflictKind::kCancelled};
  ConversationSet set;
  set.version = bank.version;
  for (size_t type = 0; type < kTypes; ++type) {
    const auto exclusive = pairs_of(bank, types[type], PairRelation::kExclusive, 2);
    const auto compatible = pairs_of(bank, types[type], PairRelation::kCompatible, 1);
    for (size_t domain = 0; domain < kDomains; ++domain) {
      // Every kind once a type in each half of the domains, every domain once a kind and type.
      const size_t half = domain / kTypes;
      const ConflictKind kind = kKinds[(type + domain) % kKinds.size()];
      const BankPair* pair = kind == ConflictKind::kAdded ? compatible[0] : exclusive[half];
      add_cell(bank, {.kind = kind, .pair = pair, .domain = &bank.domains[domain]}, 2 * type + half,
               set.conversations);
    }
    for (size_t i = 0; i < exclusive.size(); ++i) {
      const size_t number = 2 * type + i;
      add_cell(bank,
               {.kind = ConflictKind::kPersistent,
                .pair = exclusive[i],
                .domain = &bank.domains[number]},
               number, set.conversations);
    }
  }
  return set;
}

}  // namespace ebb::experiment
