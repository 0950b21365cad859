import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { COMMANDS } from '../../cli/commands.js'
import { EXIT } from '../../cli/exit-codes.js'
import { buildProgram } from '../../cli/program.js'
import { JOB_METRICS, STAGE_METRICS } from '../../functions/metric-names.js'
import { root } from './doc-examples.js'

const page = (name: string) => readFileSync(join(root, 'docs', name), 'utf8')
const { commands } = buildProgram(COMMANDS, '1.2.3', () => {})
const optionsOf = (command: string) => commands.find((one) => one.name() === command)?.options.flatMap(({ long }) => long ?? []) ?? []

/** What of `names` does not stand in the page as code, by itself or before its value. */
function unsaid(names: readonly string[], text: string): string[] {
  return names.filter((name) => !text.includes(`\`${name}\``) && !text.includes(`\`${name} `))
}

test.each([
  ['run', 'operations.md'],
  ['pipe', 'connectors.md'],
])('every option of millrace %s stands in docs/%s', (command, name) => {
  // Every command has that one, which is said of all of them.
  const options = optionsOf(command).filter((option) => option !== '--verbose-errors')
  expect(options.length).toBeGreaterThan(5)
  expect(unsaid(options, page(name))).toEqual([])
})

test('every command and every exit code stands in docs/operations.md', () => {
  const said = page('operations.md')
  expect(commands.map((command) => command.name()).filter((name) => !new RegExp(`\`${name}\\b`).test(said))).toEqual([])
  expect(Object.values(EXIT).filter((code) => !new RegExp(`^\\|[ \\d,]*\\b${code}\\b[ \\d,]*\\|`, 'm').test(said))).toEqual([])
})

test('every property of StreamJob stands in docs/aws.md', () => {
  const declared = readFileSync(join(root, 'cdk', 'stream-job-props.ts'), 'utf8').split('export interface StreamJobProps {')[1]
  const names = [...declared.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(20)
  expect(unsaid(names, page('aws.md'))).toEqual([])
})

test('every metric stands in docs/aws.md', () => {
  expect(unsaid([...STAGE_METRICS, ...JOB_METRICS], page('aws.md'))).toEqual([])
})
