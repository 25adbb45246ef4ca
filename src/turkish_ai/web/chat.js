// The chat at /. Talks to /v1/chat/completions and /sectors like any other client. Texts, the model's and the user's,
// only ever become text nodes.

import { events } from "./event_stream.js";

const $ = (id) => document.getElementById(id);
const form = $("ask"), question = $("question"), conversation = $("conversation"), sector = $("sector");
const percent = new Intl.NumberFormat("tr-TR", { style: "percent", maximumFractionDigits: 0 });

/** What the server is sent: every question, and the answers that were completed or stopped by the user. */
let messages = [];
/** Ends the answer on its way; null while there is none. */
let running = null;

const EXPLANATIONS = {
  queue_full: "Şu anda çok yoğunum. Lütfen birazdan yeniden deneyin.",
  draining: "Sunucu yeniden başlatılıyor. Lütfen birazdan yeniden deneyin.",
  engine_unavailable: "Sunucu henüz hazır değil. Lütfen birazdan yeniden deneyin.",
  adapter_memory_full: "Şu anda bu sektörün adaptörüne yer yok. Lütfen birazdan yeniden deneyin.",
  adapter_not_found: "Bu sektörün bu sunucuda henüz adaptörü yok. “Kendisi bulsun” seçeneğiyle sorabilirsiniz.",
  adapter_refused: "Bu sektörün adaptörü bozuk görünüyor. Lütfen sunucunun yöneticisine haber verin.",
  context_length_exceeded: "Sohbet çok uzadı. “Yeni sohbet” ile baştan başlayabilirsiniz.",
  body_too_large: "Sorunuz çok uzun. Lütfen kısaltın.",
  generation_failed: "Yanıt yarıda kaldı. Lütfen yeniden deneyin.",
};

function explain(error) {
  if (error instanceof TypeError) return "Sunucuya ulaşılamadı. Bağlantınızı denetleyip yeniden deneyin.";
  return EXPLANATIONS[error.code] ?? "Beklenmeyen bir sorun oldu. Lütfen yeniden deneyin.";
}

class ServerError extends Error {
  constructor({ message, code }) {
    super(message);
    this.code = code;
  }
}

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
  if (routed && !origin.fallback) list.append(element("li", "", `${percent.format(origin.confidence)} güven`));
  if (!routed) list.append(element("li", "", "sizin seçiminiz"));
  list.append(element("li", "", origin.version ? `adaptör ${origin.version}` : "temel model"));
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
  if (controller === null) question.focus();
}

function fitQuestion() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
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
  history.push({ role: "user", content: text });
  const controller = new AbortController();
  setRunning(controller);
  announce("Yanıt yazılıyor.");
  let written = "", length = false, fallback;
  try {
    for await (const event of stream({ model, messages: history, stream: true }, controller.signal)) {
      if (event.turkish_ai) {
        showOrigin(origin, event.turkish_ai, model);
        fallback = event.turkish_ai.fallback?.message_tr;
      }
      const choice = event.choices?.[0];
      length ||= choice?.finish_reason === "length";
      if (!choice?.delta?.content) continue;
      const follow = atBottom();
      written += choice.delta.content;
      answer.append(choice.delta.content);
      if (follow) turn.scrollIntoView({ block: "end" });
    }
    if (fallback) remark(turn, fallback);
    if (length) remark(turn, "Yanıt izin verilen uzunluğa ulaştığı için burada bitti.");
    announce(`Yanıt: ${written}`);
  } catch (error) {
    if (controller.signal.aborted) {
      remark(turn, "Yanıt durduruldu.");
      announce("Yanıt durduruldu.");
    } else {
      remark(turn, explain(error));
      announce(explain(error));
      if (!question.value) question.value = text;
    }
  } finally {
    turn.classList.remove("waiting");
    // Without an answer the question is taken back: it would be sent a second time with the next one.
    if (written) history.push({ role: "assistant", content: written });
    else history.pop();
    setRunning(null);
    fitQuestion();
  }
}

async function* stream(body, signal) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw new ServerError((await response.json()).error);
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
  question.focus();
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
  others.label = "Henüz adaptörü olmayanlar";
  for (const { id, name_tr, adapter } of sectors) {
    const option = element("option", "", name_tr);
    option.value = id;
    option.disabled = !adapter && id !== "general";
    (option.disabled ? others : ready).append(option);
  }
  sector.append(...[ready, others].filter((group) => group.children.length));
}

listSectors().catch(() => announce("Sektörler okunamadı."));
