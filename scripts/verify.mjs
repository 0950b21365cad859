// The heavier suites, after `npm test`: the packed package on three Node versions, the kill test, real servers, the benchmarks' hashes, memory.
import { spawn } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeHash, seedsOf } from './code-seeds.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** So many of the code's own, or as many as there is time for. */
const SEEDS = seedsOf(codeHash(root), 10_000).join('-')
const suites = [
  ['the packed package on Node 20.19, 22 and 24', ['scripts/package-test.mjs']],
  ['the construct in a project of cdk init, CommonJS and ES modules', ['scripts/cdk-package-test.mjs']],
  ['kill -9 at random moments', ['scripts/kill-test/main.mjs', '--kills', '5', '--parallelism', 'mixed']],
  ['the ports and deployed jobs on real servers', ['scripts/wire-tests.mjs']],
  ['a deployed job under faults, on an emulator of AWS', e2e('plain', 'kill', 'poller', 'restart', 'checkpoint')],
  ['a deployed job that changes, on an emulator of AWS', e2e('upgrade', 'rescale', 'rollback', 'savepoint', 'init')],
  [`the protocol on AWS, simulated with the code's own seeds, ${SEEDS}`, ['scripts/simulate.mjs', '--seeds', SEEDS, '--minutes', '8']],
  ['hashes of the benchmarks', ['scripts/bench-hashes.mjs']],
  ['memory of a counter for each of a million keys', ['--expose-gc', 'scripts/memory-per-key.mjs']],
]
const LONGEST_MS = 15 * 60_000
/** Of a suite that fails these last characters are printed once more at the end, where they are found. */
const LAST_WORDS = 6_000

let passed = 0
const failed = []
for (const [name, args] of suites) {
  console.log(`\n=== ${name}`)
  const began = Date.now()
  const { how, lastWords } = await run(args)
  console.log(`=== ${how ?? 'passed'} after ${Math.round((Date.now() - began) / 1_000)} s`)
  if (how === undefined) passed++
  else failed.push({ name, how, lastWords })
}
for (const { name, how, lastWords } of failed) console.error(`\n=== once more, the end of: ${name}\n${lastWords}\nFAILED: ${name} (${how})`)
console.log(`${passed} passed, ${failed.length} failed${failed.map(({ name, how }) => `; ${name} (${how})`).join('')}`)
process.exit(failed.length === 0 ? 0 : 1)

/** Runs a suite, and tells how it failed. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: LONGEST_MS })
    let lastWords = ''
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from.setEncoding('utf8').on('data', (text) => {
        to.write(text)
        lastWords = `${lastWords}${text}`.slice(-LAST_WORDS)
      })
    }
    child.on('error', ({ message }) => resolve({ how: message, lastWords }))
    child.on('close', (code, signal) => resolve({ how: code === 0 ? undefined : (signal ?? `exit code ${code}`), lastWords }))
  })
}

/** Each part of the scenarios has the time of a suite. */
function e2e(...names) {
  return ['scripts/e2e.mjs', ...names.flatMap((name) => ['--only', name])]
}
