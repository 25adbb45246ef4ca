// The chat at /. Talks to /v1/chat/completions and /sectors like any other client. Texts, the model's and the user's,
// only ever become text nodes.

import { events } from "./event_stream.js";
import { takeTurn } from "./history.js";
import { ServerError, confidence, errorOf, explain } from "./words.js";

const $ = (id) => document.getElementById(id);
const form = $("ask"), question = $("question"), conversation = $("conversation"), sector = $("sector");
/** Where a keyboard would cover the page, only the user's own touch opens it. */
const isTouched = matchMedia("(pointer: coarse)").matches;

/** What the server is sent: the questions, and the answers that were completed or stopped by the user. */
let messages = [];
/** Ends the answer on its way; null while there is none. */
let running = null;

// --- what is shown ---------------------------------------------------------------------------------------------------

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function addTurn(className, speaker) {
  $("welcome").hidden = true;
  const turn = element("li", `turn ${className}`);
  turn.append(element("span", "hidden", `${speaker}: `));
  conversation.append(turn);
  return turn;
}

function showOrigin(list, origin, asked) {
  list.replaceChildren(element("li", "sector", origin.sector_name));
  const routed = asked === "auto";
  // After a fallback the confidence belongs to the sector that was found, which the remark below names.
  if (routed && !origin.fallback) list.append(element("li", "", confidence(origin.confidence)));
  if (!routed) list.append(element("li", "", "sizin seçiminiz"));
  list.append(element("li", "", origin.version ? `adaptör ${origin.version}` : "temel model"));
  // Small talk needs no source.
  if (origin.reference && origin.sector !== "general") {
    list.append(element("li", "reference", `dayanak: “${origin.reference.question}”`));
  }
}

function remark(turn, text) {
  turn.append(element("p", "remark", text));
}

function announce(text) {
  $("status").textContent = text;
}

function atBottom() {
  const page = document.documentElement;
  return page.scrollHeight - page.scrollTop - page.clientHeight < 80;
}

function setRunning(controller) {
  running = controller;
  $("send").hidden = controller !== null;
  $("stop").hidden = controller === null;
  if (controller === null) focusQuestion();
}

function focusQuestion() {
  if (!isTouched) question.focus({ preventScroll: true });
}

function fitQuestion() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
}

/** What is scrolled to stays clear of the bars, which grow with the question and with a narrow screen. */
function keepClearOfBars() {
  const page = document.documentElement.style;
  page.scrollPaddingTop = `${document.querySelector("header").offsetHeight + 12}px`;
  page.scrollPaddingBottom = `${document.querySelector("footer").offsetHeight + 12}px`;
}

// --- one turn --------------------------------------------------------------------------------------------------------

async function ask(text) {
  const model = sector.value;
  addTurn("mine", "Siz").append(element("p", "text", text));
  const turn = addTurn("waiting", "Asistan");
  const origin = element("ul", "origin"), answer = element("p", "text");
  turn.append(origin, answer);
  turn.scrollIntoView({ block: "end" });

  const history = messages;  // “Yeni sohbet” may begin another one before this answer has ended
  const isFirst = history.length === 0;
  const controller = new AbortController();
  setRunning(controller);
  announce("Yanıt yazılıyor.");
  let length = false, fallback;

  async function* pieces(messages) {
    for await (const event of stream({ model, messages, stream: true }, controller.signal)) {
      if (event.turkish_ai) {
        showOrigin(origin, event.turkish_ai, model);
        fallback = event.turkish_ai.fallback?.message_tr;
      }
      const choice = event.choices?.[0];
      length ||= choice?.finish_reason === "length";
      if (!choice?.delta?.content) continue;
      const follow = atBottom();
      answer.append(choice.delta.content);
      if (follow) turn.scrollIntoView({ block: "end" });
      yield choice.delta.content;
    }
  }

  const remarks = [];
  let failed = false;
  try {
    const written = await takeTurn(history, text, pieces, () => controller.signal.aborted);
    if (fallback) remarks.push(fallback);
    if (length) remarks.push("Yanıt izin verilen uzunluğa ulaştığı için burada bitti.");
    announce(`Yanıt: ${written}`);
  } catch (error) {
    const wasStopped = controller.signal.aborted;
    remarks.push(wasStopped ? "Yanıt durduruldu." : explain(error, { isFirst }));
    announce(remarks[0]);
    failed = !wasStopped;
    if (failed && !question.value) question.value = text;
  } finally {
    const follow = failed || atBottom();
    turn.classList.remove("waiting");
    for (const words of remarks) remark(turn, words);
    setRunning(null);
    fitQuestion();
    keepClearOfBars();  // at once: the question that was put back may have made the bar below grow
    if (follow) turn.scrollIntoView({ block: "end" });
  }
}

async function* stream(body, signal) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  let done = false;
  for await (const data of events(response.body)) {
    // Read on to the end: leaving here would hang up on a connection that can be used again.
    done ||= data === "[DONE]";
    if (done) continue;
    const event = JSON.parse(data);
    if (event.error) throw new ServerError(event.error);
    yield event;
  }
  if (!done) throw new ServerError({ code: "generation_failed", message: "The stream ended early." });
}

// --- what the user does ----------------------------------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || running) return;
  question.value = "";
  fitQuestion();
  ask(text);
});

question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

question.addEventListener("input", fitQuestion);
$("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});

$("new").addEventListener("click", () => {
  running?.abort();
  messages = [];
  conversation.replaceChildren();
  $("welcome").hidden = false;
  announce("Yeni sohbet.");
  focusQuestion();
});

$("examples").addEventListener("click", (event) => {
  if (event.target.tagName !== "BUTTON" || running) return;
  ask(event.target.textContent);
});

async function listSectors() {
  const response = await fetch("/sectors");
  if (!response.ok) return;
  const { sectors } = await response.json();
  const ready = element("optgroup"), others = element("optgroup");
  ready.label = "Adaptörü olanlar";
  others.label = "Adaptörü olmayanlar";
  for (const { id, name_tr, adapter } of sectors) {
    const option = element("option", "", name_tr);
    option.value = id;
    option.disabled = !adapter && id !== "general";
    (option.disabled ? others : ready).append(option);
  }
  sector.append(...[ready, others].filter((group) => group.children.length));
}

new ResizeObserver(keepClearOfBars).observe(document.querySelector("footer"));
new ResizeObserver(keepClearOfBars).observe(document.querySelector("header"));
focusQuestion();
listSectors().catch(() => announce("Sektörler okunamadı."));
