import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation'
import { callSettings } from './call-settings.js'

/** An output of a CloudFormation stack. */
export interface StackOutput {
  readonly key: string
  readonly value: string
  readonly exportName: string | undefined
  readonly description: string | undefined
}

/** Outputs of a stack; undefined when there is no such stack. Throws what the service said. */
export async function stackOutputs(stack: string): Promise<readonly StackOutput[] | undefined> {
  const client = new CloudFormationClient(callSettings())
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }))
    if (Stacks.length === 0) return undefined
    return (Stacks[0].Outputs ?? []).map(({ OutputKey, OutputValue, ExportName, Description }) => ({
      key: OutputKey ?? '',
      value: OutputValue ?? '',
      exportName: ExportName,
      description: Description,
    }))
  } catch (thrown) {
    // CloudFormation has no error of its own for it.
    if (thrown instanceof Error && thrown.name === 'ValidationError' && /does not exist/.test(thrown.message)) return undefined
    throw thrown
  } finally {
    client.destroy()
  }
}
