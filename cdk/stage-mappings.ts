import type { Duration } from 'aws-cdk-lib'
import { EventSourceMapping, type IVersion, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import type { StageExchange } from './stage-exchange.js'

export const BATCH_SIZE = 10_000

export interface StageMappingsProps {
  readonly revision: string
  readonly version: IVersion
  readonly exchange: StageExchange
  readonly batchingWindow: Duration
}

/**
 * The mappings of a revision's frames and pokes. They call the revision's version, so that older code goes on with what is its own while the newer
 * comes up. The mapping of a source's stream is not among them: activation makes it and keeps it.
 */
export function createMappings(
  scope: Construct,
  { revision, version, exchange: { frames, consumer, pokes }, batchingWindow }: StageMappingsProps,
): readonly EventSourceMapping[] {
  const ofPokes = new EventSourceMapping(scope, `PokesMapping${revision}`, {
    target: version,
    eventSourceArn: pokes.queueArn,
    batchSize: 10,
    reportBatchItemFailures: true,
  })
  if (frames === undefined) return [ofPokes]
  const ofFrames = new EventSourceMapping(scope, `FramesMapping${revision}`, {
    target: version,
    eventSourceArn: consumer?.streamConsumerArn ?? frames.streamArn,
    startingPosition: StartingPosition.TRIM_HORIZON,
    batchSize: BATCH_SIZE,
    maxBatchingWindow: batchingWindow,
    parallelizationFactor: 1,
    // A frame that is given up would be a gap for ever: without end, until the records expire, and no part of a batch for itself.
    retryAttempts: -1,
    bisectBatchOnError: false,
    reportBatchItemFailures: true,
  })
  return [ofFrames, ofPokes]
}
