// The controls of the report: which conversation, seed, turn and arm; the address keeps the choice.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const at = (id) => document.getElementById(id);
  // Dark letters stay legible on the darkest of these.
  const LIGHT = [255, 255, 255], DARK = [86, 160, 211];
  const ALL = "(all arms)";

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }
  function colour(share) {
    return "rgb(" + LIGHT.map((from, i) => Math.round(from + (DARK[i] - from) * share)).join(",") + ")";
  }
  function fill(select, values, chosen) {
    select.replaceChildren(...values.map((value) => {
      const option = make("option", "", value);
      option.value = value;
      return option;
    }));
    select.value = values.includes(chosen) ? chosen : values[0] ?? "";
  }
  const conversation = () => data.conversations.find((c) => c.id === at("conversation").value);
  // An arm without chance may have one seed only: that one stands for all.
  function unitOf(arm, hasMap) {
    const units = data.units.filter((u) => u.arm === arm && u.conversation === at("conversation").value
      && (!hasMap || u.map));
    return units.find((u) => u.seed === at("seed").value) ?? units[0];
  }
  function turnIds() {
    const unit = data.units.find((u) => u.conversation === at("conversation").value);
    return unit ? unit.turns.map((t) => t.id) : [];
  }
  const turnId = () => turnIds()[Number(at("turn").value) - 1];

  function showQuestion() {
    const box = at("question-text");
    box.replaceChildren();
    const turn = conversation()?.turns.find((t) => t.id === turnId());
    if (!turn) return;
    const said = make("div", "said");
    if (turn.instruction) said.append(make("div", "text instruction", turn.instruction));
    for (const text of [turn.content, turn.query]) if (text) said.append(make("div", "text", text));
    box.append(said);
    if (turn.expected) box.append(make("p", "note", "Expected: " + turn.expected));
  }
  function verdictLine(verdict) {
    const line = make("div", "verdict");
    const value = verdict.rules ?? verdict.judge;
    const mark = value === undefined ? "open" : value >= 1 ? "\u2713 pass" : value > 0 ? "\u25D0 part" : "\u2717 fail";
    line.append(make("span", "mark", mark), " " + verdict.instruction + " (" + verdict.class + ", " + verdict.state + ")"
      + (verdict.detail ? ": " + verdict.detail : ""));
    return line;
  }
  function showReplies() {
    at("replies").replaceChildren();
    for (const arm of data.arms) {
      const unit = unitOf(arm, false);
      const turn = unit?.turns.find((t) => t.id === turnId());
      const box = make("article", "reply");
      box.append(make("h3", "", arm));
      if (!turn) {
        box.append(make("p", "note", "no unit"));
      } else {
        box.append(make("div", "text", turn.reply));
        const cut = turn.stop === "length" ? ", cut by the length limit" : "";
        const recorded = turn.recorded ? ", recorded reply" : "";
        box.append(make("p", "note", turn.cells.toFixed(0) + " cells after the turn" + cut + recorded + "; seed "
          + unit.seed + ", unit " + unit.unit));
        turn.verdicts.forEach((verdict) => box.append(verdictLine(verdict)));
      }
      at("replies").append(box);
    }
  }
  function mapOf(arm) {
    const unit = unitOf(arm, true);
    const place = unit ? unit.turns.findIndex((t) => t.id === turnId()) : -1;
    const holders = unit?.map.holders[place];
    const box = make("div");
    box.append(make("h3", "", arm));
    if (!holders) {
      box.append(make("p", "note", "no cache map of this conversation was kept"));
      return box;
    }
    const pairs = unit.map.pairs;
    const sum = holders.reduce((a, b) => a + b, 0);
    box.append(make("p", "note", (100 * sum / Math.max(1, pairs * holders.length)).toFixed(1) + "% of the cells of "
      + holders.length + " tokens are left; seed " + unit.seed));
    const tokens = make("div", "tokens");
    holders.forEach((n, i) => {
      const token = make("span", "token role-" + unit.map.roles[i] + (n === 0 ? " gone" : ""),
        unit.map.tokens[i].replace(/\n/g, "\u21B5\n"));
      token.style.backgroundColor = colour(n / Math.max(1, pairs));
      token.title = unit.map.roles[i] + ", token " + i + ": held by " + n + " of " + pairs;
      tokens.append(token);
    });
    box.append(tokens);
    return box;
  }
  function showMap() {
    const arm = at("arm").value;
    at("map").replaceChildren(...(arm === ALL ? data.arms : [arm]).map(mapOf));
  }
  function show() {
    at("turn-text").textContent = turnId() ?? "";
    showQuestion();
    showReplies();
    showMap();
  }
  function remember() {
    const chosen = new URLSearchParams();
    for (const id of ["conversation", "seed", "arm"]) chosen.set(id, at(id).value);
    chosen.set("turn", turnId() ?? "");
    history.replaceState(null, "", "#" + chosen);
  }
  function chooseConversation(seed, turn) {
    const units = data.units.filter((u) => u.conversation === at("conversation").value);
    fill(at("seed"), [...new Set(units.map((u) => u.seed))], seed);
    const ids = turnIds();
    const place = ids.map(String).indexOf(String(turn));
    at("turn").max = Math.max(1, ids.length);
    at("turn").value = place < 0 ? ids.length : place + 1;
  }
  function readAddress() {
    const chosen = new URLSearchParams(location.hash.slice(1));
    const mapped = data.units.find((u) => u.map)?.conversation;
    fill(at("conversation"), data.conversations.map((c) => c.id), chosen.get("conversation") ?? mapped);
    fill(at("arm"), [ALL, ...data.arms], chosen.get("arm"));
    chooseConversation(chosen.get("seed"), chosen.get("turn"));
    show();
  }
  at("conversation").addEventListener("change", () => { chooseConversation(at("seed").value, turnId()); show(); remember(); });
  for (const id of ["seed", "arm"]) at(id).addEventListener("change", () => { show(); remember(); });
  at("turn").addEventListener("input", () => { show(); remember(); });
  addEventListener("hashchange", readAddress);
  at("legend-scale").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((share) => {
    const step = make("span", "", (100 * share).toFixed(0) + "%");
    step.style.backgroundColor = colour(share);
    return step;
  }));
  at("controls").hidden = at("map-controls").hidden = false;
  readAddress();
})();
