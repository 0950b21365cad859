import type { TestProject } from 'vitest/node'
import { type AwsServerName, startAwsServers } from '../../scripts/aws-servers.mjs'

declare module 'vitest' {
  interface ProvidedContext {
    readonly servers: Readonly<Record<AwsServerName, string>>
  }
}

/** One of each server for all suites, which make tables, streams, buckets and queues of their own. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const { urls, stop } = await startAwsServers()
  provide('servers', urls)
  return stop
}
