import { type DynamoDBClient, PutItemCommand, QueryCommand, type QueryCommandInput } from '@aws-sdk/client-dynamodb'
import { MillraceError } from '../../core/index.js'
import type { CommitLog, LogItem } from '../../ports/index.js'
import { awsCall, isAwsError } from './aws-call.js'

const DIGITS = 16

type Item = Record<string, { readonly S?: string; readonly B?: Uint8Array }>

/** Commit logs in one table: pk = log, sk = `v` and the padded version, payload = bytes. */
export class DynamoDbCommitLog implements CommitLog {
  constructor(
    readonly client: DynamoDBClient,
    readonly table: string,
  ) {}

  async read(subtask: string, after: number): Promise<LogItem[]> {
    const items: LogItem[] = []
    let from: QueryCommandInput['ExclusiveStartKey']
    do {
      const page = await this.#query(subtask, { after, ExclusiveStartKey: from })
      for (const item of page.Items ?? []) items.push(logItem(item as Item))
      from = page.LastEvaluatedKey
    } while (from !== undefined)
    return items
  }

  /** The newest item; undefined when the log is empty. */
  async head(subtask: string): Promise<LogItem | undefined> {
    const page = await this.#query(subtask, { after: -1, ScanIndexForward: false, Limit: 1 })
    const item = page.Items?.[0]
    return item === undefined ? undefined : logItem(item as Item)
  }

  #query(subtask: string, { after, ...more }: Partial<QueryCommandInput> & { readonly after: number }) {
    const command = new QueryCommand({
      TableName: this.table,
      ConsistentRead: true,
      KeyConditionExpression: 'pk = :pk AND sk BETWEEN :first AND :last',
      ExpressionAttributeValues: { ':pk': { S: subtask }, ':first': { S: sortKey(after + 1) }, ':last': { S: sortKey(Number.MAX_SAFE_INTEGER) } },
      ...more,
    })
    return awsCall('Query', `table ${this.table}, log ${subtask}`, () => this.client.send(command))
  }

  async append(subtask: string, item: LogItem): Promise<'won' | 'lost'> {
    const command = new PutItemCommand({
      TableName: this.table,
      Item: { pk: { S: subtask }, sk: { S: sortKey(item.version) }, payload: { B: item.payload } },
      ConditionExpression: 'attribute_not_exists(pk)',
    })
    return awsCall('PutItem', `table ${this.table}, log ${subtask}`, async () => {
      try {
        await this.client.send(command)
        return 'won'
      } catch (thrown) {
        if (isAwsError(thrown, 'ConditionalCheckFailedException')) return 'lost'
        throw thrown
      }
    })
  }
}

function sortKey(version: number): string {
  return `v${String(version).padStart(DIGITS, '0')}`
}

function logItem({ pk, sk, payload }: Item): LogItem {
  const version = Number(/^v(\d+)$/.exec(sk?.S ?? '')?.[1] ?? Number.NaN)
  if (!Number.isNaN(version) && payload?.B !== undefined) return { version, payload: payload.B }
  throw new MillraceError('LOG_CORRUPT', {
    what: 'an item of the commit log is not one',
    where: `log ${pk?.S}, item ${sk?.S}`,
    todo: 'Nothing but this job may write to its table. Restore the job from its last checkpoint.',
  })
}
