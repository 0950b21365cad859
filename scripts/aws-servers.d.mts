export type AwsServerName = 'dynamodb' | 'kinesis' | 'ministack'

export interface AwsServers {
  readonly urls: Readonly<Record<AwsServerName, string>>
  stop(): Promise<void>
}

export function startAwsServers(names?: readonly AwsServerName[]): Promise<AwsServers>
