using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>Who one is to the server.</summary>
/// <param name="Role"><c>viewer</c>, <c>user</c>, <c>operator</c> or <c>admin</c>.</param>
/// <param name="By">How it was proved: <c>socket</c>, <c>token T-…</c>, <c>password</c>, <c>certificate …</c>, <c>oidc ISSUER</c>.</param>
public sealed record WhoReply(string Name, string Role, ImmutableArray<string> Groups, string By);

/// <summary>How one can sign in to the server from elsewhere, beside tokens.</summary>
/// <param name="Oidc">Null when the server takes tokens of no issuer.</param>
public sealed record AuthReply(OidcReply? Oidc);

/// <summary>The issuer of single sign-on (OpenID Connect) whose tokens the server takes.</summary>
/// <param name="Authority">PEM of the only authorities that the issuer's certificate may be of; null for those of the system.</param>
public sealed record OidcReply(string Issuer, string ClientId, ImmutableArray<string> Scopes, string? Authority);

/// <summary>Gives a right on nodes.</summary>
/// <param name="Subject">A user, <c>@group</c>, or <c>*</c>.</param>
/// <param name="Nodes">Node set, or <c>*</c> for every node, those that come later too.</param>
/// <param name="Partitions">Names or numbers; empty for all.</param>
/// <param name="Source">As in <c>job:48213</c>; null for a person.</param>
/// <param name="Others">When somebody else has a right there: <c>share</c> it (null too), <c>refuse</c>, or <c>overwrite</c> it.</param>
public sealed record GrantBody(
    string Subject, string Nodes, ImmutableArray<string> Partitions, DateTimeOffset? From = null, DateTimeOffset? Until = null, string? Source = null, string? Others = null);

/// <summary>A rule for who may work on which nodes.</summary>
/// <param name="State"><c>in force</c>, <c>later</c>, <c>over</c> or <c>revoked</c>.</param>
public sealed record GrantReply(
    string Id, string Subject, string Nodes, ImmutableArray<string> Partitions, DateTimeOffset? From, DateTimeOffset? Until, string? Source, string GrantedBy,
    DateTimeOffset GrantedAt, DateTimeOffset? RevokedAt, string? RevokedBy, string State);

/// <summary>What was changed by granting: the rule, and those that it overwrote.</summary>
/// <param name="Change"><c>created</c>, or <c>unchanged</c> when the very same is in force already.</param>
public sealed record GrantedReply(string Change, GrantReply Grant, ImmutableArray<string> Overwritten);

/// <summary>Rules that were taken back, and operations that end by it within seconds.</summary>
public sealed record RevokedReply(ImmutableArray<GrantReply> Revoked, ImmutableArray<string> Operations);

/// <summary>Whether somebody may do something on nodes, and by which rule.</summary>
public sealed record CheckReply(string Subject, string Role, string Action, bool Allowed, string Denied, ImmutableArray<CheckPart> Parts);

/// <param name="Rule">Id of the rule that decides, or <c>role:NAME</c>; null when there is none.</param>
public sealed record CheckPart(string Nodes, bool Allowed, string? Rule, string Reason);

/// <summary>Asks for a token.</summary>
/// <param name="Owner">For whom; null for oneself. Others need an administrator.</param>
/// <param name="Role">The most that it may be; null for the owner's own role.</param>
/// <param name="Seconds">How long it is good.</param>
public sealed record TokenBody(string? Owner, string? Role, string Note, long Seconds);

/// <summary>A token; its text is said once, when it is made.</summary>
/// <param name="State"><c>good</c>, <c>over</c> or <c>revoked</c>.</param>
public sealed record TokenReply(
    string Id, string Owner, string Role, string Note, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? UsedAt, string State)
{
    public string? Token { get; init; }

    public override string ToString() => $"token {Id} of {Owner}";
}
