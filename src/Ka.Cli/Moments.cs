using System.Globalization;
using Ka.Core.Documents;

namespace Ka.Cli;

/// <summary>Points in time as people write them.</summary>
public static class Moments
{
    /// <summary>What <see cref="TryParse"/> reads, for error messages.</summary>
    public const string Form = "a time such as 18:00, 2026-11-22T18:00, 2026-11-22 18:00:00+01:00, or +10m";

    static readonly string[] Local = ["yyyy-MM-dd'T'HH:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd HH:mm", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd"];
    static readonly string[] Zoned = ["yyyy-MM-dd'T'HH:mmzzz", "yyyy-MM-dd'T'HH:mm:sszzz", "yyyy-MM-dd HH:mm:sszzz", "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm'Z'"];

    /// <summary>A time of day is the next one; a time without zone is of this machine; <c>+</c> and a duration count from now, <c>-</c> back from it.</summary>
    public static bool TryParse(string text, DateTimeOffset now, out DateTimeOffset at)
    {
        at = default;
        if (text is ['+' or '-', .. var span])
        {
            if (!Quantity.TryParseDuration(span, out var duration))
                return false;
            at = text[0] == '+' ? now + duration : now - duration;
            return true;
        }
        if (TimeOnly.TryParseExact(text, ["HH:mm", "HH:mm:ss"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var time))
        {
            var today = new DateTimeOffset(now.LocalDateTime.Date + time.ToTimeSpan());
            at = today > now ? today : today.AddDays(1);
            return true;
        }
        return DateTimeOffset.TryParseExact(text, Zoned, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out at)
            || DateTimeOffset.TryParseExact(text, Local, CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal, out at);
    }
}
