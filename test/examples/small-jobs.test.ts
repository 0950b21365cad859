import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import deviation from '../../examples/deviation/job.js'
import difference from '../../examples/difference/job.js'
import differenceOutputs from '../../examples/difference-outputs/job.js'
import history from '../../examples/history/job.js'
import sortInWindow from '../../examples/sort-in-window/job.js'
import students from '../../examples/students/job.js'
import watermark from '../../examples/watermark/job.js'
import wordCount from '../../examples/word-count/job.js'
import { exampleFile, expected, runExample, sorted, temporaryFolder } from './run-example.js'

describe('examples on the input that ships with them', () => {
  it.each([
    ['history', history],
    ['difference', difference],
    ['difference-outputs', differenceOutputs],
    ['deviation', deviation],
    ['word-count', wordCount],
  ])('%s', async (name, job) => {
    expect((await runExample(job)).text).toBe(expected(`${name}/expected.txt`))
  })

  it.each([
    ['word-count', wordCount, ['--window', 'tumbling'], 'expected-tumbling.txt'],
    ['word-count', wordCount, ['--window', 'sliding'], 'expected-sliding.txt'],
    ['word-count', wordCount, ['--window', 'count', '--input', exampleFile('word-count/count-input.txt')], 'expected-count.txt'],
    ['sort-in-window', sortInWindow, [], 'expected.txt'],
    ['watermark', watermark, [], 'expected.txt'],
    ['watermark', watermark, ['--offset', '2000'], 'expected-offset.txt'],
  ])('%s %#', async (name, job, parameters, file) => {
    for (const parallelism of [1, 3]) {
      expect(sorted((await runExample(job, parameters, { parallelism })).text)).toEqual(sorted(expected(`${name}/${file}`)))
    }
  })

  it('students with both side outputs', async () => {
    const { text, output } = await runExample(students)
    expect(text).toBe(expected('students/expected.txt'))
    for (const tag of ['stream_1', 'stream_2']) {
      expect(readFileSync(output.replace('.txt', `.${tag}.txt`), 'utf8')).toBe(expected(`students/expected.${tag}.txt`))
    }
  })

  it.each([
    ['difference', difference, 'a,x'],
    ['watermark', watermark, 'hello,,1'],
    ['students', students, 'tom,m'],
    ['sort-in-window', sortInWindow, 'a'],
  ])('%s fails at a line that is not of its form, and names it', async (_name, job, line) => {
    const input = join(temporaryFolder(), 'input.txt')
    writeFileSync(input, `${line}\n`)
    await expect(runExample(job, ['--input', input])).rejects.toThrow(JSON.stringify(line))
  })

  it('refuses a value that --window does not have', async () => {
    await expect(runExample(wordCount, ['--window', 'session'])).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })
})
