namespace Ka.Protocol.Rest;

/// <summary>Somebody at a node's console.</summary>
/// <param name="Mode"><c>write</c> or <c>watch</c>.</param>
public sealed record ConsoleReply(string Node, string User, string Mode, DateTimeOffset Since);

/// <summary>
/// What the server says beside a console's bytes. In the WebSocket of <c>/api/v1/consoles/{node}</c> binary messages are the serial line's
/// bytes, both ways; a text message is this, from the server only, and the last before it closes.
/// </summary>
/// <param name="Code">Of the fault; null when the caller left.</param>
public sealed record ConsoleNote(string? Code, string Message, string? Evidence);

/// <summary>Limits of the console's WebSocket.</summary>
public static class ConsoleProtocol
{
    /// <summary>Longest message either way, in bytes.</summary>
    public const int MessageLimit = 4096;
}
