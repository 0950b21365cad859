import {
  type CheckpointedFunction,
  type Collector,
  type FlatMapFunction,
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  ListStateDescriptor,
} from '../../../runtime/index.js'
import { countedWithoutGaps, eachOnce, valuesOf } from '../checks.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import type { JobFacts } from '../simulated-job.js'
import { drawCarelessTiming } from '../timing.js'

interface Token {
  /** The first item that it counted. */
  readonly name: number
  readonly n: number
}

interface Counted {
  readonly id: number
  readonly token: number
  readonly n: number
}

const TOKENS = new ListStateDescriptor<Token>('tokens')

/**
 * Counts items with tokens, which are elements of its operator state: a subtask without one makes one, one with several takes them in turn. Wherever
 * the tokens go, each counts 1, 2, 3, … and there are not more of them than there were subtasks at one time.
 */
class TokenCount implements FlatMapFunction<Item, Counted>, CheckpointedFunction {
  #tokens: Token[] = []

  initializeState(context: FunctionInitializationContext): void {
    this.#tokens = [...context.getListState(TOKENS).get()]
  }

  snapshotState(context: FunctionSnapshotContext): void {
    context.getListState(TOKENS).update(this.#tokens)
  }

  flatMap({ id }: Item, out: Collector<Counted>): void {
    const token = this.#tokens.shift() ?? { name: id, n: 0 }
    const counted = { ...token, n: token.n + 1 }
    this.#tokens.push(counted)
    out.collect({ id, token: counted.name, n: counted.n })
  }
}

/** Operator state in a source's stage (each split has its own) or behind a rebalance. */
export function operatorStateJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  const puts = drawPuts(draw, streams)
  const inSource = draw.chance(0.5)
  return {
    name: `operator state ${inSource ? 'in the source' : 'behind a rebalance'}`,
    streams,
    puts,
    sinks: ['out'],
    compare: 'history',
    define(scene) {
      const items = scene.items('items')
      const counted = inSource
        ? items.flatMap(new TokenCount()).uid('tokens').setParallelism(scene.sourceParallelism).rebalance()
        : items.rebalance().flatMap(new TokenCount()).uid('tokens')
      scene.sink(
        'out',
        counted.map((each) => each),
      )
    },
    check(facts) {
      const counted = valuesOf<Counted>(facts, 'out')
      const most = inSource ? facts.splits?.get('items') : Math.max(...facts.parallelisms)
      return [
        ...eachOnce(
          'outputs',
          counted.map(({ id }) => id),
          puts.map(({ item }) => item.id),
        ),
        ...countedWithoutGaps(
          'operator state lost or doubled: token',
          counted.map(({ token, n }) => [String(token), n]),
        ),
        ...tooManyTokens(facts, most),
      ]
    },
  }
}

function tooManyTokens(facts: JobFacts, most: number | undefined): string[] {
  const tokens = new Set(valuesOf<Counted>(facts, 'out').map(({ token }) => token)).size
  return most === undefined || tokens <= most ? [] : [`operator state lost: ${tokens} tokens and at most ${most} subtasks`]
}
