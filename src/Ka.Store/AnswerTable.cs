using Dapper;

namespace Ka.Store;

/// <summary>What was answered to a request with an idempotency key.</summary>
/// <param name="Request">SHA-256 of method, path and body.</param>
/// <param name="Suffix">Of the ids that the request gives: what it created is found by it after a crash.</param>
/// <param name="Status">Null while the request is not carried out to its end.</param>
public sealed record KeptAnswer(string Request, string Suffix, int? Status, string? Body);

/// <summary>Answers by idempotency key; each user's keys are their own.</summary>
public sealed class AnswerTable(Database database)
{
    public static readonly TimeSpan Kept = TimeSpan.FromHours(24);

    sealed record Row(string Request, string Suffix, long? Status, string? Body);

    /// <summary>Takes the key; null when it was free or its day is over, else what it stands for.</summary>
    public KeptAnswer? Claim(string owner, string key, string request, string suffix, DateTimeOffset now) => database.Write((c, t) =>
    {
        c.Execute("delete from answers where at <= @before", new { before = (now - Kept).ToUnixTimeMilliseconds() }, t);
        var found = c.QuerySingleOrDefault<Row>("select request, suffix, status, body from answers where owner = @owner and key = @key", new { owner, key }, t);
        if (found is not null)
            return new KeptAnswer(found.Request, found.Suffix, (int?)found.Status, found.Body);
        c.Execute("insert into answers (owner, key, request, suffix, at) values (@owner, @key, @request, @suffix, @at)", new { owner, key, request, suffix, at = now.ToUnixTimeMilliseconds() }, t);
        return null;
    });

    public void Keep(string owner, string key, int status, string body) => database.Write((c, t) =>
        c.Execute("update answers set status = @status, body = @body where owner = @owner and key = @key", new { owner, key, status, body }, t));

    /// <summary>Nothing came of the request: the key is free again.</summary>
    public void Release(string owner, string key) => database.Write((c, t) =>
        c.Execute("delete from answers where owner = @owner and key = @key and status is null", new { owner, key }, t));
}
