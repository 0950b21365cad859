import { defineJob, textFormat } from 'millrace'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'
import { wordsOf } from '../word-count/words.js'

/**
 * The running word count, to be run with checkpoints (`--checkpoint-dir DIR --checkpoint-interval 3000`): killed at any time and
 * started again with `--from latest`, it goes on where the last checkpoint was, and each word counts once.
 */
export default defineJob('checkpointed-word-count', (env) => {
  const counts = linesIn(env, import.meta.url, 'input.txt')
    .flatMap(wordsOf)
    .uid('words')
    .keyBy((w) => w.word)
    .sum('n')
    .uid('count')
  resultsOut(counts.map((w) => `${w.word} ${w.n}`).uid('format'), env, textFormat())
})
