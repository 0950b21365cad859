// Runs each benchmark job at a small size and compares outputs and hash with the brute-force results (bench/flink/ref.mjs, which equal Flink's).
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const EVENTS = 300_000
const node = (...args) => JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }))
let failed = 0
for (const job of ['ipcount', 'wordcount', 'q0', 'q1', 'q2', 'q3', 'q4', 'q5', 'q7', 'q8', 'q11']) {
  const expected = node(join('bench', 'flink', 'ref.mjs'), job, String(EVENTS))
  for (const [parallelism, checkpoint] of [
    ['1', '0'],
    ['2', '0'],
    ['2', '100'],
  ]) {
    const got = node(join('dist', 'bench', 'main.js'), job, '--events', String(EVENTS), '--parallelism', parallelism, '--checkpoint', checkpoint)
    const same = expected.outputs > 0 && got.outputs === expected.outputs && got.hash === expected.hash
    if (!same) failed++
    console.log(
      `${same ? 'same' : 'DIFFERENT'} ${job} parallelism ${parallelism} checkpoint ${checkpoint}: ${got.outputs} outputs, hash ${got.hash}, expected ${expected.outputs}, ${expected.hash}`,
    )
  }
}
process.exit(failed === 0 ? 0 : 1)
