#include "model/chat_template_turns.h"

#include <algorithm>

#include "base/error.h"

namespace ebb::model {
namespace {

Piece template_piece(std::string text) { return {std::move(text), Role::kTemplate, ""}; }

// Trims the outer white space of several parts as if they were one text.
void trim_outer(std::vector<Piece>& parts) {
  for (Piece& part : parts) {
    part.text = trimmed_left(part.text);
    if (!part.text.empty()) break;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    part->text = trimmed_right(part->text);
    if (!part->text.empty()) break;
  }
}

// Parts with blank lines between them; the separators are template text.
std::vector<Piece> joined(const std::vector<Piece>& parts, Trim trim) {
  std::vector<Piece> out;
  for (const Piece& part : parts) {
    if (part.text.empty()) continue;
    if (!out.empty()) out.push_back(template_piece("\n\n"));
    out.push_back(part);
  }
  if (trim == Trim::kYes) trim_outer(out);
  return out;
}

void append(std::vector<Piece>& out, std::vector<Piece> more) {
  for (Piece& piece : more) {
    if (!piece.text.empty()) out.push_back(std::move(piece));
  }
}

// The system text of a first turn, prefix and suffix included; empty where there is none.
std::vector<Piece> render_system(const ChatFormat& format, const std::vector<Piece>& given) {
  std::vector<Piece> text = given;
  if (text.empty()) {
    if (format.system_when_absent == SystemDefault::kNone) return {};
    text.push_back({format.default_system, Role::kSystem, ""});
  }
  std::vector<Piece> out = {template_piece(format.system.prefix)};
  append(out, joined(text, format.trim_system));
  out.push_back(template_piece(format.system.suffix));
  return out;
}

// A stretch of text between two control tokens, and the pieces it is made of.
struct Run {
  std::string text;
  std::vector<std::pair<size_t, uint32_t>> starts;  // {first byte, piece}

  void add(std::string_view more, uint32_t piece) {
    starts.emplace_back(text.size(), piece);
    text += more;
  }
  // Requires: byte < text.size().
  uint32_t piece_at(size_t byte) const {
    const auto after =
        std::upper_bound(starts.begin(), starts.end(), byte,
                         [](size_t at, const auto& start) { return at < start.first; });
    return std::prev(after)->second;
  }
};

void encode_run(const Tokenizer& tokenizer, Run& run, EncodedPieces& out) {
  if (run.text.empty()) return;
  size_t byte = 0;
  bool is_first = true;
  for (const int32_t id : tokenizer.encode(run.text, ParseSpecial::kNo)) {
    const std::string token = tokenizer.piece(id, RenderSpecial::kYes);
    out.ids.push_back(id);
    out.piece_of_token.push_back(run.piece_at(std::min(byte, run.text.size() - 1)));
    byte += token.size();
    // Some vocabularies put a space of their own in front of a text; it is no byte of ours.
    if (is_first && token.starts_with(' ') && !run.text.starts_with(' ')) --byte;
    is_first = false;
  }
  run = Run();
}

}  // namespace

std::vector<Piece> render_user_turn(const ChatFormat& format, TurnPlace place,
                                    const TurnInput& input) {
  std::vector<Piece> out;
  bool needs_prefix = true;
  if (place == TurnPlace::kFirst) {
    append(out, {template_piece(format.begin)});
    std::vector<Piece> system = render_system(format, input.system);
    if (!system.empty() && format.system_place == SystemPlace::kInsideUser) needs_prefix = false;
    append(out, std::move(system));
  } else if (!input.system.empty()) {
    throw Error::make(ErrorKind::kBadData,
                      "conversation: found a system text after the first turn, expected it before");
  }
  if (needs_prefix) append(out, {template_piece(format.user.prefix)});
  append(out, joined(input.parts, format.trim_turns));
  append(out, {template_piece(format.user.suffix), template_piece(format.assistant.prefix)});
  return out;
}

std::vector<Piece> render_reply(const ChatFormat& format, std::string_view reply) {
  const std::string_view text = format.trim_turns == Trim::kYes ? trimmed(reply) : reply;
  std::vector<Piece> out;
  append(out, {{std::string(text), Role::kReply, ""}, template_piece(format.assistant.suffix)});
  return out;
}

std::string text_of(const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

EncodedPieces encode_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces) {
  EncodedPieces out;
  Run run;
  for (uint32_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    if (piece.role != Role::kTemplate) {
      run.add(piece.text, i);
      continue;
    }
    // Alone, only to find the control tokens in it; what stands between them joins its neighbours.
    size_t byte = 0;
    for (const int32_t id : tokenizer.encode(piece.text, ParseSpecial::kYes)) {
      const std::string text = tokenizer.piece(id, RenderSpecial::kYes);
      if (!tokenizer.is_control(id)) continue;
      const size_t at = piece.text.find(text, byte);
      EBB_CHECK(at != std::string::npos && !text.empty());
      if (at > byte) run.add(std::string_view(piece.text).substr(byte, at - byte), i);
      encode_run(tokenizer, run, out);
      out.ids.push_back(id);
      out.piece_of_token.push_back(i);
      byte = at + text.size();
    }
    if (byte < piece.text.size()) run.add(std::string_view(piece.text).substr(byte), i);
  }
  encode_run(tokenizer, run, out);
  return out;
}

ConversationEncoder::ConversationEncoder(std::shared_ptr<const Tokenizer> tokenizer,
                                         ChatFormat format)
    : tokenizer_(std::move(tokenizer)), format_(std::move(format)) {}

uint16_t ConversationEncoder::add_span(TurnSpan span) {
  const auto same = std::find(spans_.begin(), spans_.end(), span);
  // Template text of a turn is one span, wherever it stands; two contents of a turn stay two.
  if (span.role == Role::kTemplate && same != spans_.end()) {
    return static_cast<uint16_t>(same - spans_.begin());
  }
  if (spans_.size() >= UINT16_MAX) {
    throw Error::make(ErrorKind::kBadData, "conversation: found over {} spans, expected fewer",
                      spans_.size());
  }
  spans_.push_back(std::move(span));
  return static_cast<uint16_t>(spans_.size() - 1);
}

EncodedTurn ConversationEncoder::encode(const std::vector<Piece>& pieces) {
  std::vector<uint16_t> span_of_piece;
  for (const Piece& piece : pieces) {
    span_of_piece.push_back(piece.role == Role::kReply
                                ? reply_span_
                                : add_span({piece.role, n_turns_ - 1, piece.instruction_id}));
  }
  EncodedPieces encoded = encode_pieces(*tokenizer_, pieces);
  EncodedTurn out;
  out.ids = std::move(encoded.ids);
  for (const uint32_t piece : encoded.piece_of_token)
    out.span_of_token.push_back(span_of_piece[piece]);
  return out;
}

EncodedTurn ConversationEncoder::user_turn(const TurnInput& input) {
  EBB_CHECK(awaits_ == Awaits::kUser);
  const TurnPlace place = n_turns_ == 0 ? TurnPlace::kFirst : TurnPlace::kLater;
  const std::vector<Piece> pieces = render_user_turn(format_, place, input);
  ++n_turns_;
  EncodedTurn out = encode(pieces);
  reply_span_ = add_span({Role::kReply, n_turns_ - 1, ""});
  awaits_ = Awaits::kReply;
  return out;
}

EncodedTurn ConversationEncoder::closing(std::span<const int32_t> reply) {
  EBB_CHECK(awaits_ == Awaits::kReply);
  awaits_ = Awaits::kUser;
  EncodedTurn out = encode({template_piece(format_.assistant.suffix)});
  const bool has_end = !reply.empty() && !out.ids.empty() && reply.back() == out.ids.front() &&
                       tokenizer_->is_control(reply.back());
  if (has_end) {
    out.ids.erase(out.ids.begin());
    out.span_of_token.erase(out.span_of_token.begin());
  }
  return out;
}

EncodedTurn ConversationEncoder::recorded_reply(std::string_view reply) {
  EBB_CHECK(awaits_ == Awaits::kReply);
  awaits_ = Awaits::kUser;
  return encode(render_reply(format_, reply));
}

}  // namespace ebb::model
