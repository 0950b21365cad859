import { type JobParameters, MillraceError } from '../core/index.js'

/** Parameters given as `--key value`, `--key=value` or `--flag`, or as a record. */
export class CommandLineParameters implements JobParameters {
  readonly #values: ReadonlyMap<string, string>

  private constructor(values: ReadonlyMap<string, string>) {
    this.#values = values
  }

  /** Throws OPTION_INVALID for words that belong to no `--key`. */
  static from(given: readonly string[] | Readonly<Record<string, string>> | undefined): CommandLineParameters {
    if (given === undefined) return new CommandLineParameters(new Map())
    return new CommandLineParameters(Array.isArray(given) ? parseWords(given) : new Map(Object.entries(given)))
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  get(name: string): string | undefined
  get(name: string, fallback: string): string
  get(name: string, fallback?: string): string | undefined {
    return this.#values.get(name) ?? fallback
  }

  getRequired(name: string): string {
    const value = this.#values.get(name)
    if (value === undefined)
      throw new MillraceError('OPTION_INVALID', { what: `the job needs the parameter --${name}`, todo: `Give it after --: -- --${name} VALUE` })
    return value
  }

  getNumber(name: string): number | undefined
  getNumber(name: string, fallback: number): number
  getNumber(name: string, fallback?: number): number | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return fallback
    const value = Number(text)
    if (text.trim() === '' || Number.isNaN(value)) {
      throw new MillraceError('OPTION_INVALID', { what: `the job parameter --${name} is "${text}"`, todo: 'It must be a number.' })
    }
    return value
  }

  getBoolean(name: string, fallback = false): boolean {
    const text = this.#values.get(name)
    if (text === undefined) return fallback
    if (text === 'true' || text === '') return true
    if (text === 'false') return false
    throw new MillraceError('OPTION_INVALID', { what: `the job parameter --${name} is "${text}"`, todo: 'It must be true or false.' })
  }

  toRecord(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#values)
  }
}

function parseWords(words: readonly string[]): Map<string, string> {
  const values = new Map<string, string>()
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    if (!word.startsWith('--') || word.length === 2) {
      throw new MillraceError('OPTION_INVALID', {
        what: `job parameter "${word}" has no name`,
        todo: 'Write job parameters as --name value or --name=value.',
      })
    }
    const equals = word.indexOf('=')
    if (equals > 0) values.set(word.slice(2, equals), word.slice(equals + 1))
    else if (i + 1 < words.length && !isName(words[i + 1])) values.set(word.slice(2), words[++i])
    else values.set(word.slice(2), '')
  }
  return values
}

/** `--x` names a parameter; `-5` and `-` are values. */
function isName(word: string): boolean {
  return word.startsWith('--') && word.length > 2
}
