import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import job from '../../examples/checkpointed-word-count/job.js'
import { wordsOf } from '../../examples/word-count/words.js'
import { builtFile, expected, runExample, temporaryFolder } from './run-example.js'

const LINES = ['to be or not to be', 'that is the question', 'once and only once', 'to count each word']

describe('checkpointed word count', () => {
  it('runs on the input that ships with it', async () => {
    expect((await runExample(job)).text).toBe(expected('checkpointed-word-count/expected.txt'))
  })

  it('killed twice and started again, counts every word once', async () => {
    const folder = temporaryFolder()
    const [words, counts, checkpoints] = ['words.txt', 'counts', 'checkpoints'].map((name) => join(folder, name))
    let written = 0
    const write = (lines: number) => {
      for (let i = 0; i < lines; i++) appendFileSync(words, `${LINES[written++ % LINES.length]}\n`)
    }
    write(500)
    for (const round of [0, 1, 2]) {
      const child = start(words, counts, checkpoints, round > 0)
      const seen = visibleCounts(counts).length
      await until(child, () => {
        write(5)
        return visibleCounts(counts).length > seen
      })
      // Some more that is read, but in no checkpoint yet when the process is gone.
      write(300)
      await sleep(200 * round)
      if (round < 2) await kill(child)
      else await until(child, () => visibleCounts(counts).length >= wordsOf(readFileSync(words, 'utf8')).length)
    }
    const totals = new Map<string, number>()
    const once = wordsOf(readFileSync(words, 'utf8')).map(({ word }) => {
      const n = (totals.get(word) ?? 0) + 1
      totals.set(word, n)
      return `${word} ${n}`
    })
    expect(visibleCounts(counts).sort()).toEqual(once.sort())
  }, 60_000)
})

function start(words: string, counts: string, checkpoints: string, again: boolean): ChildProcess {
  const flags = ['--quiet', '--checkpoint-dir', checkpoints, '--checkpoint-interval', '1000', ...(again ? ['--from', 'latest'] : [])]
  const args = ['run', ...flags, builtFile('examples/checkpointed-word-count/job.js'), '--', '--follow', words, '--output', counts + sep]
  const child = spawn(process.execPath, [builtFile('cli/main.js'), ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => kill(child))
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

async function until(child: ChildProcess, done: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !done(); await sleep(50)) {
    if (child.exitCode !== null) throw new Error(`the job ended with exit code ${child.exitCode}`)
    if (Date.now() > end) throw new Error('not within 20 s')
  }
}

/** The lines of the part files that have their names: the ones in the making are hidden. */
function visibleCounts(folder: string): string[] {
  if (!existsSync(folder)) return []
  const parts = readdirSync(folder).filter((name) => !/^[._]/.test(name))
  return parts.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n')).filter((line) => line !== '')
}
