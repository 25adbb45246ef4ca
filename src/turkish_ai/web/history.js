// What was said, as the server is sent it with the next question. Knows nothing of the page or of the network.

/**
 * One question and its answer. `answer(history)` yields the answer's pieces; `wasStopped()` says whether the user ended it.
 *
 * The turn stays in `history` if the answer was completed or stopped by the user. Else the question is taken back with
 * what was written: it would be sent a second time with the next one.
 */
export async function takeTurn(history, question, answer, wasStopped) {
  history.push({ role: "user", content: question });
  let written = "", stays = false;
  try {
    for await (const piece of answer(history)) written += piece;
    stays = true;
  } catch (error) {
    stays = wasStopped();
    throw error;
  } finally {
    if (stays && written) history.push({ role: "assistant", content: written });
    else history.pop();
  }
  return written;
}
