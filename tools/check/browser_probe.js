// Put into a copy of report.html by browser.py: uses every control as a reader would, looks for text
// that cannot be read, and tells the page around it what it found. Changes nothing on disk.
"use strict";
(() => {
  const problems = window.ebbProblems;  // errors of the page's own script are in it already
  const done = [];                      // what was tried, for people
  const at = (id) => document.getElementById(id);
  const wait = () => new Promise((resolve) => setTimeout(resolve, 20));
  const shown = () => at("question-text").textContent + at("replies").textContent;
  const mapped = () => at("map").textContent;
  // What a choice must change besides the address.
  const SHOWS = { conversation: shown, seed: shown, turn: shown, arm: mapped };

  // Puts a value into a control; says whether something that belongs to it changed.
  async function choose(control, value) {
    const before = [SHOWS[control.id](), location.hash];
    control.value = value;
    control.dispatchEvent(new Event(control.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
    await wait();
    const isOneArm = control.id === "arm" && control.options.length === 2;  // "all" is that one
    if (!isOneArm && SHOWS[control.id]() === before[0]) problems.push(`${control.id} = ${value}: nothing that it shows changed`);
    if (location.hash === before[1]) problems.push(`${control.id} = ${value}: the address stayed`);
  }
  const values = (control) => control.tagName === "SELECT" ? [...control.options].map((o) => o.value)
    : Array.from({ length: control.max - control.min + 1 }, (_, i) => String(Number(control.min) + i));

  // Every other value of a control, and back.
  async function exercise(control) {
    const first = control.value;
    const others = values(control).filter((value) => value !== first).slice(0, 12);
    for (const value of others) await choose(control, value);
    if (others.length > 0) await choose(control, first);
    done.push(`${control.id}: ${others.length + 1} values`);
  }
  async function exerciseControls() {
    for (const control of document.querySelectorAll("select, input, button, textarea")) {
      if (!(control.id in SHOWS)) problems.push(`a control that this check does not know: ${control.outerHTML}`);
      if (control.offsetParent === null) problems.push(`${control.id} is hidden`);
    }
    for (const id of Object.keys(SHOWS)) await exercise(at(id));
    for (const details of document.querySelectorAll("details")) {
      const low = details.offsetHeight;
      details.querySelector("summary").click();
      await wait();
      if (!details.open || details.offsetHeight <= low) problems.push("a fold does not open: " + details.textContent.slice(0, 30));
      details.querySelector("summary").click();
    }
    done.push(`${document.querySelectorAll("details").length} folds`);
  }
  // An address that somebody sent opens on the place that it names.
  async function followAddress() {
    const wanted = {};
    for (const id of ["conversation", "arm"]) wanted[id] = values(at(id)).at(-1);
    location.hash = new URLSearchParams({ ...wanted, turn: "" }).toString();
    await wait();
    for (const [id, value] of Object.entries(wanted)) {
      if (at(id).value !== value) problems.push(`the address names ${id} ${value}, the page shows ${at(id).value}`);
    }
    location.hash = "";
    await wait();
    done.push("an address");
  }

  const label = (element) => JSON.stringify(element.textContent.trim().slice(0, 40));
  // Letters without the air above and below them.
  function inked(element) {
    const box = element.getBoundingClientRect();
    const air = 0.2 * Math.min(box.width, box.height);
    return { left: box.left + air / 2, right: box.right - air / 2, top: box.top + air, bottom: box.bottom - air };
  }
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  function checkFigures() {
    let n = 0;
    for (const svg of document.querySelectorAll("svg")) {
      const frame = svg.getBoundingClientRect();
      const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim() !== "");
      const boxes = texts.map(inked);
      n += texts.length;
      texts.forEach((text, i) => {
        const box = boxes[i];
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
          || box.bottom > frame.bottom + 1) problems.push(`text is cut by the figure's edge: ${label(text)}`);
        for (let j = i + 1; j < texts.length; ++j) {
          if (meet(box, boxes[j])) problems.push(`texts of a figure overlap: ${label(text)} and ${label(texts[j])}`);
        }
        const size = inked(text).bottom - inked(text).top;
        if (size < 5.5) problems.push(`text of a figure is too small to read (${size.toFixed(1)} px of ink): ${label(text)}`);
      });
    }
    done.push(`${n} texts in figures`);
  }

  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  function luminance(colour) {
    const [r, g, b] = channels(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function groundOf(element) {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  }
  // Contrast of letters and what is behind them, as WCAG 2 counts it (4.5 is its level AA).
  function checkContrast() {
    const seen = new Set();
    for (const element of document.querySelectorAll("body *")) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
      if (!hasText || element.closest("script, style, noscript") || element.getClientRects().length === 0) continue;
      const style = getComputedStyle(element);
      const letters = element.closest("svg") ? style.fill : style.color;
      const pair = letters + " on " + groundOf(element);
      if (seen.has(pair)) continue;
      seen.add(pair);
      const [low, high] = [luminance(letters), luminance(groundOf(element))].sort((a, b) => a - b);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(1)}: ${pair}: ${label(element)}`);
    }
    done.push(`${seen.size} pairs of colours`);
  }
  function checkWidth() {
    const excess = document.documentElement.scrollWidth - innerWidth;
    if (excess <= 0) return;
    for (const element of document.querySelectorAll("body *")) {
      if (element.closest(".scroll, .figure") || element.getBoundingClientRect().right <= innerWidth + 1) continue;
      problems.push(`the page is ${excess} px wider than the window: ${element.tagName} ${label(element)}`);
      return;
    }
    problems.push(`the page is ${excess} px wider than the window`);
  }

  async function probe() {
    await wait();
    try {
      await exerciseControls();
      await followAddress();
      checkWidth();
      if (innerWidth >= 1000) checkFigures();  // on a phone a figure is there to be enlarged
      checkContrast();
    } catch (error) {
      problems.push("the check itself stopped: " + error.stack);
    }
    parent.postMessage({ problems, done, height: document.documentElement.scrollHeight }, "*");
  }
  addEventListener("load", probe);
})();
