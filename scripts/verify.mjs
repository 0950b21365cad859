// The heavier suites, after `npm test`: the packed package on three Node versions, the kill test, real servers, the benchmarks' hashes, memory.
import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const suites = [
  ['the packed package on Node 20.19, 22 and 24', ['scripts/package-test.mjs']],
  ['the construct in a project of cdk init, CommonJS and ES modules', ['scripts/cdk-package-test.mjs']],
  ['kill -9 at random moments', ['scripts/kill-test/main.mjs', '--kills', '5', '--parallelism', 'mixed']],
  ['the ports and deployed jobs on real servers', ['scripts/wire-tests.mjs']],
  ['a deployed job under faults, on an emulator of AWS', e2e('plain', 'kill', 'poller', 'restart', 'checkpoint')],
  ['a deployed job that changes, on an emulator of AWS', e2e('upgrade', 'rescale', 'rollback', 'savepoint', 'init')],
  ['the protocol on AWS, simulated', ['scripts/simulate.mjs', '--seeds', '50000-51599', '--minutes', '7']],
  ['hashes of the benchmarks', ['scripts/bench-hashes.mjs']],
  ['memory of a counter for each of a million keys', ['--expose-gc', 'scripts/memory-per-key.mjs']],
]
let passed = 0
const failed = []
for (const [name, args] of suites) {
  console.log(`\n=== ${name}`)
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', timeout: 15 * 60_000 })
  if (status === 0) passed++
  else failed.push(`${name} (${signal ?? `exit code ${status}`})`)
}
for (const name of failed) console.error(`FAILED: ${name}`)
console.log(`${passed} passed, ${failed.length} failed`)
process.exit(failed.length === 0 ? 0 : 1)

/** Each part of the scenarios has the time of a suite. */
function e2e(...names) {
  return ['scripts/e2e.mjs', ...names.flatMap((name) => ['--only', name])]
}
