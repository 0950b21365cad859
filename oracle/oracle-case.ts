import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonNumber } from './json-number.js'

/** A stage of a case's pipeline; the fields depend on `op` (README of the oracle). */
export interface Stage {
  readonly op: string
  readonly id?: string
  readonly inputs?: readonly string[]
  readonly sideOutputs?: readonly string[]
  // biome-ignore lint/suspicious/noExplicitAny: fields by op, read where the op is built
  readonly [field: string]: any
}

export interface Step {
  readonly in?: string
  readonly el?: { readonly k?: string; readonly v: JsonNumber; readonly t?: string }
  readonly ts?: JsonNumber | null
  readonly wm?: JsonNumber
  readonly idle?: boolean
  readonly end?: true
  readonly procTime?: JsonNumber
  readonly restore?: true
  readonly complete?: string
  readonly values?: readonly unknown[]
  readonly fail?: boolean
}

export interface OracleCase {
  readonly name: string
  readonly compare: 'exact' | 'per-step-set'
  readonly inputs: readonly string[]
  readonly pipeline: readonly Stage[]
  /** Stage that is the output `main`; by default the last. */
  readonly output?: string
  readonly steps: readonly Step[]
}

/** One item of an output; `step` is the index of the step that caused it. */
export type ResultItem =
  | { readonly step: number; readonly ts: JsonNumber | null; readonly value: unknown }
  | { readonly step: number; readonly watermark: JsonNumber }
  | { readonly step: number; readonly status: 'idle' | 'active' }

export interface CaseResult {
  /** The step at which the job failed. Only the step counts; type and message are for people. */
  readonly error?: { readonly step: number; readonly type?: string; readonly message?: string }
  readonly outputs: Readonly<Record<string, readonly ResultItem[]>>
}

export interface StoredCase {
  readonly case: OracleCase
  readonly expected: CaseResult
}

/** Reads `cases/*.json` and `expected/*.json` of a folder, by name. */
export function readCases(folder: string): StoredCase[] {
  const read = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), 'utf8'))
  return readdirSync(join(folder, 'cases'))
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ case: read('cases', file), expected: read('expected', file) }))
}
