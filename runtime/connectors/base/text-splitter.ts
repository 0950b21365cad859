import { StringDecoder } from 'node:string_decoder'

/** Cuts UTF-8 text that arrives in chunks at a delimiter. A `\r` before the delimiter `\n` is dropped, as in Flink. */
export class TextSplitter {
  readonly #delimiter: string
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''

  constructor(delimiter: string) {
    this.#delimiter = delimiter
  }

  /** Characters of the part that has no delimiter yet. */
  get restLength(): number {
    return this.#rest.length
  }

  push(chunk: Buffer): string[] {
    const parts = (this.#rest + this.#decoder.write(chunk)).split(this.#delimiter)
    this.#rest = parts.pop() as string
    return parts.map((part) => this.#trimmed(part))
  }

  /** What is left behind the last delimiter, as Flink gives it too; undefined when nothing is. */
  end(): string | undefined {
    const rest = this.#rest + this.#decoder.end()
    this.#rest = ''
    return rest === '' ? undefined : this.#trimmed(rest)
  }

  #trimmed(part: string): string {
    return this.#delimiter === '\n' && part.endsWith('\r') ? part.slice(0, -1) : part
  }
}
