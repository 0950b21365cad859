import type { Construct } from 'constructs'
import { MillraceError } from '../runtime/core/index.js'

/** Under this and the job's name CDK's context holds the parallelism that `millrace rescale` has written there. */
export const PARALLELISM_CONTEXT = 'millrace:parallelism:'

/** What the context says of the job's parallelism, if it does. Throws OPTION_INVALID. */
export function parallelismInContext({ node }: Construct, job: string): number | undefined {
  const given: unknown = node.tryGetContext(`${PARALLELISM_CONTEXT}${job}`)
  if (given === undefined) return undefined
  // From the command line it comes as text.
  const parallelism = Number(given)
  if (Number.isSafeInteger(parallelism) && parallelism >= 1) return parallelism
  throw new MillraceError('OPTION_INVALID', {
    what: `the parallelism of job "${job}" in the context is ${JSON.stringify(given)}`,
    where: `context ${PARALLELISM_CONTEXT}${job}`,
    todo: 'Give a whole number from 1 (cdk.context.json, or --context).',
  })
}
