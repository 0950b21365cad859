/**
 * One run of the job in a process of its own, to be killed. Writes its events to standard output, one JSON object a line;
 * the line `drain` on standard input ends the job. With `--die-after-checkpoint N` it kills itself between the N-th checkpoint
 * and the commits that follow, which no kill from outside would hit.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { run } from 'millrace'
import job from './job.mjs'

const { values } = parseArgs({
  options: {
    input: { type: 'string' },
    output: { type: 'string' },
    checkpoints: { type: 'string' },
    interval: { type: 'string' },
    parallelism: { type: 'string' },
    'die-after-checkpoint': { type: 'string' },
  },
})

/** Synchronously, so that an event is out before what it announces can go on. */
function say(event) {
  writeSync(1, `${JSON.stringify(event)}\n`)
}

let checkpointsLeft = Number(values['die-after-checkpoint'] ?? Number.POSITIVE_INFINITY)

function onEvent(event) {
  say(event)
  if (event.kind === 'checkpoint-completed' && --checkpointsLeft === 0) process.kill(process.pid, 'SIGKILL')
}

try {
  const handle = await run(job, {
    parallelism: Number(values.parallelism),
    jobModule: new URL('./job.mjs', import.meta.url),
    parameters: { input: values.input, output: values.output },
    checkpointDir: values.checkpoints,
    checkpointIntervalMs: Number(values.interval),
    restoreFrom: 'latest',
    restartStrategy: { kind: 'none' },
    autoWatermarkIntervalMs: 20,
    bufferTimeoutMs: 10,
    onEvent,
  })
  const commands = createInterface({ input: process.stdin })
  commands.on('line', (line) => {
    if (line === 'drain') handle.stop({ drain: true }).catch((error) => say({ kind: 'error', error: String(error) }))
  })
  const { status } = await handle.result()
  commands.close()
  say({ kind: 'result', status })
} catch (error) {
  say({ kind: 'error', error: String(error?.stack ?? error) })
  process.exitCode = 1
}
