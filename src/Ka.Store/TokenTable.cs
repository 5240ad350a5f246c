using System.Collections.Immutable;
using Dapper;
using Ka.Core.Rights;

namespace Ka.Store;

/// <summary>A token as it is kept: never the token itself.</summary>
/// <param name="Id"><c>T-</c> and six characters; what a person names it by.</param>
/// <param name="Role">The most that its bearer may be; who owns it may be less.</param>
/// <param name="UsedAt">To the minute.</param>
public sealed record StoredToken(
    string Id, string Owner, Role Role, string Note, string CreatedBy, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? UsedAt, DateTimeOffset? RevokedAt);

/// <summary>Tokens by the SHA-256 of their text.</summary>
public sealed class TokenTable(Database database)
{
    const string Select = "select id, owner, role, note, created_by as CreatedBy, created_at as CreatedAt, expires_at as ExpiresAt, used_at as UsedAt, revoked_at as RevokedAt from tokens ";

    sealed record Row(string Id, string Owner, string Role, string Note, string CreatedBy, long CreatedAt, long ExpiresAt, long? UsedAt, long? RevokedAt);

    public void Add(StoredToken token, string hash) => database.Write((c, t) => c.Execute(
        "insert into tokens (id, owner, role, hash, note, created_by, created_at, expires_at) values (@Id, @Owner, @Role, @hash, @Note, @CreatedBy, @Created, @Expires)",
        new
        {
            token.Id,
            token.Owner,
            Role = token.Role.ToString(),
            hash,
            token.Note,
            token.CreatedBy,
            Created = token.CreatedAt.ToUnixTimeMilliseconds(),
            Expires = token.ExpiresAt.ToUnixTimeMilliseconds(),
        },
        t));

    /// <summary>The token of this hash when it is good now.</summary>
    public StoredToken? Find(string hash, DateTimeOffset now)
    {
        var at = now.ToUnixTimeMilliseconds();
        var found = database.Read(c => c.Query<Row>(Select + "where hash = @hash and revoked_at is null and expires_at > @at", new { hash, at }).Select(Of).SingleOrDefault());
        if (found is not null && (found.UsedAt is not { } used || now - used > TimeSpan.FromMinutes(1)))
            database.Write((c, t) => c.Execute("update tokens set used_at = @at where id = @Id", new { at, found.Id }, t));
        return found;
    }

    /// <param name="owner">Null for everybody's.</param>
    public ImmutableArray<StoredToken> All(string? owner) => database.Read(c =>
        c.Query<Row>(Select + "where @owner is null or owner = @owner order by created_at, id", new { owner }).Select(Of).ToImmutableArray());

    /// <summary>False when there is no such token, or it was taken back before.</summary>
    public bool Revoke(string id, string by, DateTimeOffset at) => database.Write((c, t) => c.Execute(
        "update tokens set revoked_at = @at, revoked_by = @by where id = @id and revoked_at is null", new { id, by, at = at.ToUnixTimeMilliseconds() }, t) == 1);

    static StoredToken Of(Row r) => new(
        r.Id, r.Owner, Enum.Parse<Role>(r.Role), r.Note, r.CreatedBy, At(r.CreatedAt), At(r.ExpiresAt), r.UsedAt is { } used ? At(used) : null, r.RevokedAt is { } revoked ? At(revoked) : null);

    static DateTimeOffset At(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
}
