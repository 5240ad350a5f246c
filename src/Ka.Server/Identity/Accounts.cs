using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Ka.Server.Identity;

/// <summary>The accounts of this machine as its name service knows them (files, LDAP, sssd). Answers are kept for a moment: a group that is left counts until then.</summary>
public sealed partial class Accounts(TimeProvider clock)
{
    /// <summary>How long an answer is kept.</summary>
    static readonly TimeSpan Kept = TimeSpan.FromSeconds(2);

    /// <summary>Most groups of one account that are read.</summary>
    const int GroupLimit = 1024;

    /// <summary>Where <c>pw_name</c> and <c>pw_gid</c> are in <c>struct passwd</c> on 64-bit Linux; <c>gr_name</c> is first in <c>struct group</c>.</summary>
    const int GidOffset = 20, StructSize = 64, BufferSize = 64 * 1024;

    /// <summary>What getpwnam_r(3) may also answer for a name that does not exist.</summary>
    const int NoEntry = 2, NoProcess = 3;

    readonly ConcurrentDictionary<string, (ImmutableArray<string> Groups, DateTimeOffset At)> _groups = new(StringComparer.Ordinal);

    /// <summary>The name of a user id; <c>uid:N</c> when it has none.</summary>
    public static string NameOf(uint uid) => Read(buffer => GetPwUid(uid, buffer.Struct, buffer.Text, BufferSize, out var found) == 0 && found != 0 ? Name(buffer.Struct) : null) ?? $"uid:{uid}";

    /// <summary>The groups of an account of this machine; none for a name that it does not know.</summary>
    public ImmutableArray<string> GroupsOf(string user)
    {
        var now = clock.GetUtcNow();
        if (_groups.TryGetValue(user, out var kept) && now - kept.At < Kept)
            return kept.Groups;
        // While the name service fails, what it said last goes on: nobody loses a right by an outage.
        var groups = Look(user) ?? kept.Groups;
        if (groups.IsDefault)
            groups = [];
        if (_groups.Count > 10_000)
            _groups.Clear();
        _groups[user] = (groups, now);
        return groups;
    }

    /// <summary>Null when the name service fails; empty for a name that it does not know.</summary>
    static ImmutableArray<string>? Look(string user)
    {
        if (user.Contains('\0'))
            return [];
        var (error, group) = Read(buffer =>
        {
            var failed = GetPwNam(user, buffer.Struct, buffer.Text, BufferSize, out var found);
            return (failed, found == 0 ? (uint?)null : (uint)Marshal.ReadInt32(buffer.Struct, GidOffset));
        });
        if (group is not { } gid)
            return error is 0 or NoEntry or NoProcess ? ImmutableArray<string>.Empty : null;
        var ids = new uint[GroupLimit];
        var count = ids.Length;
        return GetGroupList(user, gid, ids, ref count) < 0
            ? null
            : [.. ids.Take(count).Distinct().Select(id => Read(buffer => GetGrGid(id, buffer.Struct, buffer.Text, BufferSize, out var found) == 0 && found != 0 ? Name(buffer.Struct) : null)).OfType<string>()];
    }

    static string? Name(nint of) => Marshal.PtrToStringUTF8(Marshal.ReadIntPtr(of));

    static T Read<T>(Func<(nint Struct, nint Text), T> read)
    {
        var memory = Marshal.AllocHGlobal(StructSize + BufferSize);
        try
        {
            return read((memory, memory + StructSize));
        }
        finally
        {
            Marshal.FreeHGlobal(memory);
        }
    }

    [LibraryImport("libc", EntryPoint = "getpwuid_r")]
    private static partial int GetPwUid(uint uid, nint into, nint text, nint size, out nint found);

    [LibraryImport("libc", EntryPoint = "getpwnam_r", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int GetPwNam(string name, nint into, nint text, nint size, out nint found);

    [LibraryImport("libc", EntryPoint = "getgrgid_r")]
    private static partial int GetGrGid(uint gid, nint into, nint text, nint size, out nint found);

    [LibraryImport("libc", EntryPoint = "getgrouplist", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int GetGroupList(string user, uint group, [Out] uint[] groups, ref int count);
}
