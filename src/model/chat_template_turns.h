// Turns of a conversation as token increments: every token knows its span. Generated ids are kept
// by the caller and never tokenised again; an increment is the text between two replies. Deviation
// from HF: a control token's text inside a user's words stays ordinary text here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "model/chat_template.h"

namespace ebb::model {

// A run of text of one role. Control tokens are parsed in kTemplate pieces only.
struct Piece {
  std::string text;
  Role role = Role::kTemplate;
  std::string instruction_id;
};

// What a user says in one turn: parts in order, joined by a blank line; empty ones are left out.
struct TurnInput {
  std::vector<Piece> parts;   // roles kInstruction, kContent, kQuery
  std::vector<Piece> system;  // first turn only; empty: the format's default decides
};

// Which part of the conversation a turn is.
enum class TurnPlace { kFirst, kLater };

struct TurnSpan {
  Role role = Role::kTemplate;
  int turn = 0;                // from 0
  std::string instruction_id;  // of an instruction span, or ""
  bool operator==(const TurnSpan&) const = default;
};

struct EncodedTurn {
  std::vector<int32_t> ids;
  std::vector<uint16_t> span_of_token;  // [ids.size()], into ConversationEncoder::spans()
};

// Everything from the end of the last reply to the start of the next one, with the assistant's
// prefix.
std::vector<Piece> render_user_turn(const ChatFormat& format, TurnPlace place,
                                    const TurnInput& input);
// A reply as recorded, with its closing text.
std::vector<Piece> render_reply(const ChatFormat& format, std::string_view reply);
std::string text_of(const std::vector<Piece>& pieces);

// Token ids of pieces, and for each token the piece it begins in. Text is cut at the control tokens
// of template pieces only; all text between two of them is tokenised in one go, so borders between
// pieces merge as they would in the whole text.
struct EncodedPieces {
  std::vector<int32_t> ids;
  std::vector<uint32_t> piece_of_token;  // [ids.size()]
};
EncodedPieces encode_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces);

// Follows one conversation. A small value: a fork of a sequence takes a copy of its encoder.
class ConversationEncoder {
 public:
  ConversationEncoder(std::shared_ptr<const Tokenizer> tokenizer, ChatFormat format);

  // The prompt of the next turn. Requires: the turn before was closed.
  EncodedTurn user_turn(const TurnInput& input);
  // The closing tokens behind a generated reply, also where max-new cut it. `reply` may or may not
  // end with the closing's own first token (the model's end token); it is not repeated.
  EncodedTurn closing(std::span<const int32_t> reply);
  // A recorded reply in place of a generated one, closing included.
  EncodedTurn recorded_reply(std::string_view reply);

  // The span of the newest turn's reply tokens.
  uint16_t reply_span() const { return reply_span_; }
  const std::vector<TurnSpan>& spans() const { return spans_; }
  int n_turns() const { return n_turns_; }

 private:
  enum class Awaits { kUser, kReply };
  EncodedTurn encode(const std::vector<Piece>& pieces);
  uint16_t add_span(TurnSpan span);

  std::shared_ptr<const Tokenizer> tokenizer_;
  ChatFormat format_;
  std::vector<TurnSpan> spans_;
  Awaits awaits_ = Awaits::kUser;
  int n_turns_ = 0;
  uint16_t reply_span_ = 0;
};

}  // namespace ebb::model
