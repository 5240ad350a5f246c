using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>
/// Bounds the bytes of all files of the store. Who writes has the room before the bytes come, and nobody is given what another has; only what is worked on beside the store
/// (images while they are converted, the lists of files while they are made) counts no earlier than when it is taken into it.
/// </summary>
/// <param name="limit">Bytes that the store may hold; null for as much as the disk holds.</param>
/// <param name="held">Bytes of the files that are there, without what is being written; gets names that do not count.</param>
public sealed class StoreRoom(long? limit, Func<IReadOnlySet<string>, long> held)
{
    readonly Lock _gate = new();
    readonly HashSet<string> _adopted = new(StringComparer.Ordinal);
    long _given;

    public long? Limit => limit;

    /// <summary>Lets unused files go until so many bytes are free or nothing more may go; gives words for what holds the room then.</summary>
    public Func<long, string>? MakeRoom { get; set; }

    /// <summary>Bytes that are there or on their way.</summary>
    public long Used()
    {
        lock (_gate)
            return held(_adopted) + _given;
    }

    public Share Open() => new(this);

    Fault? Grow(Share share, long bytes)
    {
        if (bytes > FileStore.SizeLimit)
            return Fault.Of(FaultCodes.RequestTooLarge, $"files larger than {FileStore.SizeLimit} bytes are not taken");
        if (bytes > limit)
            return Fault.Of(FaultCodes.RequestTooLarge, $"{bytes} bytes are more than the {limit} that the whole store may hold");
        lock (_gate)
        {
            var (more, holds) = (bytes - share.Bytes, "");
            if (limit is { } most && more > 0 && held(_adopted) + _given + more - most is > 0 and var missing)
            {
                holds = MakeRoom?.Invoke(missing) ?? "";
                if (held(_adopted) + _given is var used && used + more > most)
                    return Fault.Of(FaultCodes.StoreFull, $"the store may hold {most} bytes and holds {used}: there is no room for {more} more", holds);
            }
            _given += more;
            share.Bytes = bytes;
            return null;
        }
    }

    /// <summary>The room that one writer has, until what they wrote has its name or is gone.</summary>
    public sealed class Share(StoreRoom room) : IDisposable
    {
        /// <summary>What an unannounced length grows by, so that the store is not counted for every piece.</summary>
        const long Step = 64 << 20;

        string? _adopted;

        public long Bytes { get; internal set; }

        /// <summary>Room for a file of so many bytes. Null when it is there.</summary>
        public Fault? Need(long bytes) => bytes <= Bytes || (bytes > 1 << 20 && room.Grow(this, bytes + Step) is null) ? null : room.Grow(this, bytes);

        /// <summary>Takes over a part that is there: from now on it counts as this writer's.</summary>
        public void Adopt(string name, long bytes)
        {
            lock (room._gate)
            {
                room._adopted.Add(name);
                room._given += bytes;
            }
            (_adopted, Bytes) = (name, bytes);
        }

        /// <summary>Room for a file of exactly so many bytes.</summary>
        public Fault? Announce(long bytes) => room.Grow(this, bytes);

        public void Dispose()
        {
            lock (room._gate)
            {
                room._given -= Bytes;
                if (_adopted is not null)
                    room._adopted.Remove(_adopted);
            }
            Bytes = 0;
        }
    }
}
