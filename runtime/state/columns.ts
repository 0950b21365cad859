/** Many short strings as one: copying one string between threads costs less than copying a thousand. */
export interface ShortStrings {
  readonly text: string
  readonly lengths: Uint8Array
}

/**
 * The longest of short strings. V8 copies a substring up to this length; a longer one would be a slice that keeps the text of
 * the whole batch alive as long as somebody, such as keyed state, keeps the string.
 */
const SHORT = 12

/** One field of a batch's records: numbers as doubles, strings together when all are short, else as they are; in a small batch plain arrays. */
export type Column = Float64Array | number[] | string[] | ShortStrings

/** A batch of records of one shape, field by field; `fields` is null for records that are themselves numbers or strings. */
export interface ColumnarBatch {
  readonly fields: readonly string[] | null
  readonly columns: readonly Column[]
  /** Bytes of the numbers and characters of the strings. */
  readonly bytes: number
}

/** Up to so many records plain arrays cross threads faster than buffers, each of which has to be allocated, handed over and collected. */
const SMALL_BATCH = 32

/** Whether a batch of so many records has its numbers and strings in plain arrays. */
export function isSmall(size: number): boolean {
  return size <= SMALL_BATCH
}

/** More fields than this are left to the general codec. */
const MOST_FIELDS = 64

type Kinds = readonly ('number' | 'string')[]
/** Fills the columns; the number of characters, or -1 at the first value that is not of the shape. */
type Encoder = (values: readonly unknown[], size: number, columns: readonly Column[]) => number
type Decoder = (columns: readonly Column[], size: number) => unknown[]

const encoders = new Map<string, Encoder>()
const decoders = new Map<string, Decoder>()

/** The batch by columns, or undefined when its records are not plain objects of one shape (the same fields in one order) that hold only numbers and strings. */
export function toColumns(values: readonly unknown[], size: number): ColumnarBatch | undefined {
  const shape = shapeOf(values[0])
  if (shape === undefined) return undefined
  const { fields, kinds } = shape
  const small = isSmall(size)
  // Small batches have encoders of their own, so that each sees columns of one kind.
  const signature = small ? `small ${JSON.stringify(shape)}` : JSON.stringify(shape)
  let encode = encoders.get(signature)
  if (encode === undefined) {
    encode = createEncoder(fields, kinds)
    encoders.set(signature, encode)
  }
  const columns = kinds.map(
    (kind): Column =>
      // An array grown from empty has no holes; one with holes is cloned many times slower.
      kind === 'number' && !small ? new Float64Array(size) : [],
  )
  const characters = encode(values, size, columns)
  if (characters < 0) return undefined
  return {
    fields,
    columns: small ? columns : columns.map(joinShort),
    bytes: characters + kinds.filter((kind) => kind === 'number').length * size * 8,
  }
}

export function fromColumns({ fields, columns }: ColumnarBatch, size: number): unknown[] {
  const split = columns.map((column) => ('text' in column ? splitShort(column) : column))
  if (fields === null) return Array.from(split[0] as ArrayLike<unknown>)
  const signature = JSON.stringify(fields)
  let decode = decoders.get(signature)
  if (decode === undefined) {
    decode = createDecoder(fields)
    decoders.set(signature, decode)
  }
  return decode(split, size)
}

function joinShort(column: Column): Column {
  if (!Array.isArray(column)) return column
  const strings = column as string[]
  const lengths = new Uint8Array(strings.length)
  for (let i = 0; i < strings.length; i++) {
    const { length } = strings[i]
    if (length > SHORT) return strings
    lengths[i] = length
  }
  return { text: strings.join(''), lengths }
}

function splitShort({ text, lengths }: ShortStrings): string[] {
  const column: string[] = []
  let start = 0
  for (let i = 0; i < lengths.length; i++) {
    const end = start + lengths[i]
    column.push(text.substring(start, end))
    start = end
  }
  return column
}

function shapeOf(value: unknown): { readonly fields: readonly string[] | null; readonly kinds: Kinds } | undefined {
  if (typeof value === 'number') return { fields: null, kinds: ['number'] }
  if (typeof value === 'string') return { fields: null, kinds: ['string'] }
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return undefined
  const fields = Object.keys(value)
  if (fields.length === 0 || fields.length > MOST_FIELDS || Object.getOwnPropertySymbols(value).length > 0) return undefined
  const kinds: ('number' | 'string')[] = []
  for (const field of fields) {
    const kind = typeof (value as Record<string, unknown>)[field]
    if (kind !== 'number' && kind !== 'string') return undefined
    kinds.push(kind)
  }
  return { fields, kinds }
}

/**
 * A loop made for one shape: with the field names in its text every access is as fast as in hand-written code.
 * Names are only ever inserted as JSON strings.
 */
function createEncoder(fields: readonly string[] | null, kinds: Kinds): Encoder {
  const access = (i: number) => (fields === null ? 'v' : `v[${JSON.stringify(fields[i])}]`)
  const shapeCheck = `
    if (typeof v !== 'object' || v === null || Object.getPrototypeOf(v) !== Object.prototype) return -1
    let n = 0
    for (const field in v) if (field !== names[n++]) return -1
    if (n !== ${fields?.length}) return -1`
  const steps = kinds.map((kind, i) => {
    const count = kind === 'string' ? `characters += f${i}.length` : ''
    return `const f${i} = ${access(i)}; if (typeof f${i} !== '${kind}') return -1; c${i}[i] = f${i}; ${count}`
  })
  const body = `
  const names = ${JSON.stringify(fields)}
  ${kinds.map((_, i) => `const c${i} = columns[${i}]`).join('; ')}
  let characters = 0
  for (let i = 0; i < size; i++) {
    const v = values[i]
    ${fields === null ? '' : shapeCheck}
    ${steps.join('\n    ')}
  }
  return characters`
  return new Function('values', 'size', 'columns', body) as Encoder
}

function createDecoder(fields: readonly string[]): Decoder {
  // A computed name, because a literal "__proto__" would set the prototype.
  const literal = fields.map((field, i) => `${field === '__proto__' ? '["__proto__"]' : JSON.stringify(field)}: c${i}[i]`).join(', ')
  const body = `
  ${fields.map((_, i) => `const c${i} = columns[${i}]`).join('; ')}
  const values = new Array(size)
  for (let i = 0; i < size; i++) values[i] = { ${literal} }
  return values`
  return new Function('columns', 'size', body) as Decoder
}
