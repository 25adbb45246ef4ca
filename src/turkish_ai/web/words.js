// What the page says of an error and of the router's confidence. Knows nothing of the document.

const UNREACHABLE = "Sunucuya ulaşılamadı. Lütfen birazdan yeniden deneyin.";
const BUSY = "Şu anda çok yoğunum. Lütfen birazdan yeniden deneyin.";
const QUESTION_TOO_LONG = "Sorunuz çok uzun. Lütfen kısaltın.";
const CHAT_TOO_LONG = "Sohbet çok uzadı. “Yeni sohbet” ile baştan başlayabilirsiniz.";
const TOO_LONG = new Set(["context_length_exceeded", "body_too_large"]);

const EXPLANATIONS = {
  queue_full: BUSY,
  too_many_connections: BUSY,
  unreachable: UNREACHABLE,
  draining: "Sunucu yeniden başlatılıyor. Lütfen birazdan yeniden deneyin.",
  engine_unavailable: "Sunucu henüz hazır değil. Lütfen birazdan yeniden deneyin.",
  adapter_memory_full: "Şu anda bu sektörün adaptörüne yer yok. Lütfen birazdan yeniden deneyin.",
  adapter_not_found: "Bu sektör için sunucuda henüz adaptör yok. “Otomatik” seçeneğiyle sorabilirsiniz.",
  adapter_refused: "Bu sorunun adaptörü bozuk görünüyor. Lütfen sunucunun yöneticisine haber verin.",
  generation_failed: "Yanıt yarıda kaldı. Lütfen yeniden deneyin.",
};

/** An error object of the API, or what stands for an answer that has none. */
export class ServerError extends Error {
  constructor({ message, code, param }) {
    super(message);
    this.code = code;
    this.param = param;
  }
}

/** The error of a response that is not ok; a proxy's page, which holds none, means that nobody answered behind it. */
export async function errorOf(response) {
  const body = await response.json().catch(() => null);
  return new ServerError(body?.error ?? { code: "unreachable", message: `status ${response.status}` });
}

/** `isFirst`: nothing was said before the question, so a new chat would not help. */
export function explain(error, { isFirst }) {
  if (error instanceof TypeError) return "Sunucuya ulaşılamadı. Bağlantınızı denetleyip yeniden deneyin.";
  if (TOO_LONG.has(error.code)) return isFirst ? QUESTION_TOO_LONG : CHAT_TOO_LONG;
  if (error.code === "value_out_of_range" && error.param === "messages") return CHAT_TOO_LONG;
  return EXPLANATIONS[error.code] ?? "Beklenmeyen bir sorun oldu. Lütfen yeniden deneyin.";
}

const percent = new Intl.NumberFormat("tr-TR", { style: "percent", maximumFractionDigits: 0 });

/** Never %100: a router that is calibrated is never certain. */
export function confidence(probability) {
  return `${percent.format(Math.min(probability, 0.99))} güven`;
}
