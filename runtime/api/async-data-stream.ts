import { type AsyncFunction, type AsyncRetryStrategy, MillraceError, type ResultFuture } from '../core/index.js'
import { AsyncWaitOperator } from '../operators/async/async-wait-operator.js'
import { DataStream } from './data-stream.js'

/** Options of `AsyncDataStream.orderedWait` and `unorderedWait`. */
export interface AsyncOptions<Out> {
  /** Milliseconds that the calls for one element may take together, of processing time; 0 for no limit. */
  readonly timeoutMs: number
  /** Elements that may be pending in a subtask before the input is held back. Default 100. */
  readonly capacity?: number
  /** Makes calls again; needs a time-out. */
  readonly retry?: AsyncRetryStrategy<Out>
}

/** What may stand for an {@link AsyncFunction}: a function that returns a promise, or takes the ResultFuture. */
type Fn<In, Out> = AsyncFunction<In, Out> | ((value: In) => Promise<readonly Out[] | Out>)
type FutureFn<In, Out> = (value: In, resultFuture: ResultFuture<Out>) => void | Promise<void>

/**
 * Asynchronous calls for the elements of a stream (Flink's AsyncDataStream): while one call waits for its answer others are made, up to `capacity`.
 * Exactly once as to what goes downstream: what was pending at a checkpoint is called again after a restore.
 *
 * @example
 * const enriched = AsyncDataStream.orderedWait(orders, async (order) => ({ ...order, price: await priceOf(order.item) }), { timeoutMs: 5_000 })
 */
export const AsyncDataStream = {
  /** Results in the order of their elements. */
  orderedWait,
  /** Results as they come; only watermarks are not overtaken, nor do they overtake. */
  unorderedWait,
}

function orderedWait<In, Out>(stream: DataStream<In>, fn: FutureFn<In, Out>, options: AsyncOptions<Out>): DataStream<Out>
function orderedWait<In, Out>(stream: DataStream<In>, fn: Fn<In, Out>, options: AsyncOptions<Out>): DataStream<Out>
function orderedWait<In, Out>(stream: DataStream<In>, fn: Fn<In, Out> | FutureFn<In, Out>, options: AsyncOptions<Out>): DataStream<Out> {
  return asyncWait(stream, fn, 'ordered', options)
}

function unorderedWait<In, Out>(stream: DataStream<In>, fn: FutureFn<In, Out>, options: AsyncOptions<Out>): DataStream<Out>
function unorderedWait<In, Out>(stream: DataStream<In>, fn: Fn<In, Out>, options: AsyncOptions<Out>): DataStream<Out>
function unorderedWait<In, Out>(stream: DataStream<In>, fn: Fn<In, Out> | FutureFn<In, Out>, options: AsyncOptions<Out>): DataStream<Out> {
  return asyncWait(stream, fn, 'unordered', options)
}

function asyncWait<In, Out>(
  stream: DataStream<In>,
  fn: Fn<In, Out> | FutureFn<In, Out>,
  mode: 'ordered' | 'unordered',
  options: AsyncOptions<Out>,
): DataStream<Out> {
  const { timeoutMs, capacity = 100, retry } = options
  check('timeoutMs', timeoutMs, retry === undefined ? 0 : 1)
  check('capacity', capacity, 1)
  const object = typeof fn === 'function' ? ({ asyncInvoke: fn } as AsyncFunction<In, Out>) : fn
  const node = stream.env.addNode({
    kind: 'async',
    name: mode === 'ordered' ? 'AsyncOrderedWait' : 'AsyncUnorderedWait',
    inputs: stream.edges,
    source: undefined,
    createOperator: () => new AsyncWaitOperator<In, Out>(object, { mode, timeoutMs, capacity, retry }),
    // It holds back its input when it is full, which only the head of a chain can.
    chaining: 'head',
  })
  return new DataStream<Out>(stream.env, [{ from: node, sideTag: undefined, partitioning: undefined }])
}

function check(option: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new MillraceError('OPTION_INVALID', {
    what: `option ${option} of an asynchronous operator is ${String(value)}`,
    todo: `Give a whole number of at least ${least}${option === 'timeoutMs' && least === 1 ? ', since there is a retry strategy' : ''}.`,
  })
}
