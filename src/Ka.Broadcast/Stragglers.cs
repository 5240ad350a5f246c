using System.Collections.Immutable;
using Ka.Core.Clusters;

namespace Ka.Broadcast;

/// <summary>What a node is slow in.</summary>
public enum SlowPart
{
    /// <summary>What takes the bytes: its ring is full.</summary>
    Disk,

    /// <summary>The way to it: the ring before it is full, its own is empty.</summary>
    Link,
}

/// <summary>One who holds the others back.</summary>
/// <param name="Place">In the order of the broadcast.</param>
/// <param name="Rate">Bytes per second over the last second.</param>
/// <param name="Possible">Bytes per second that were seen before it; 0 when only the floor tells.</param>
public sealed record Straggler(int Place, SlowPart Part, double Rate, double Possible)
{
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"{(Part == SlowPart.Disk ? "its disk takes" : "its link gives")} {Rate / 1e6:0.#} MB/s{(Possible > 0 ? $" where {Possible / 1e6:0.#} MB/s come" : "")}");
}

/// <summary>What follows from what was seen.</summary>
public enum StragglerStep
{
    /// <summary>Tell people.</summary>
    Name,

    /// <summary>The others turn away from it, and it asks nobody.</summary>
    Aside,

    /// <summary>The others have everything: it asks the server.</summary>
    Back,

    /// <summary>It is ended.</summary>
    Evict,
}

/// <summary>What is to be done now.</summary>
/// <param name="Steps">Each is said once.</param>
/// <param name="Orders">Whom nodes ask from now on; no source at all for one that stands aside.</param>
public sealed record StragglerAdvice(ImmutableArray<(StragglerStep Step, Straggler Who)> Steps, ImmutableArray<(int Place, ImmutableArray<ChainPeer> Upstreams)> Orders);

/// <summary>Words for <see cref="StragglerStep"/>.</summary>
public static class StragglerSteps
{
    /// <summary>What people read of a node after a step.</summary>
    /// <param name="before">What they read before.</param>
    public static string Words(this StragglerStep step, Straggler who, string? before) => step switch
    {
        StragglerStep.Name => $"held the others back: {who}",
        StragglerStep.Aside => $"stands aside: {who}",
        StragglerStep.Back => $"is served alone ({before})",
        StragglerStep.Evict => $"was ended: {who}",
    };
}

/// <summary>
/// Finds who holds the others back, by the rings: full before it, empty after it, and fewer bytes than came before. Pure bookkeeping over the
/// nodes' reports, for ways in which each node has one source (chain and tree). Not safe for several threads at once.
/// </summary>
/// <param name="peers">Where the nodes listen, in their order.</param>
/// <param name="links">Whom each asks by the plan, the server last.</param>
public sealed class StragglerWatch(ImmutableArray<ChainPeer> peers, ImmutableArray<ChainLink> links, StragglerRules rules)
{
    /// <summary>Rates are taken over this time.</summary>
    static readonly TimeSpan Window = TimeSpan.FromSeconds(1);

    /// <summary>The least time over which a rate that was possible is taken.</summary>
    static readonly TimeSpan PeakWindow = TimeSpan.FromMilliseconds(350);

    /// <summary>How long the same node's link must look slow.</summary>
    static readonly TimeSpan Persistence = TimeSpan.FromMilliseconds(800);

    /// <summary>The same where it gives next to nothing: the clearer it is, the less time it takes to be sure.</summary>
    static readonly TimeSpan PersistenceOfCrawl = TimeSpan.FromMilliseconds(400);

    /// <summary>The same for what takes the bytes: every disk rests now and then.</summary>
    static readonly TimeSpan DiskPersistence = TimeSpan.FromSeconds(3);

    /// <summary>Among fewer nodes nobody is sent aside.</summary>
    const int Few = 3;

    /// <summary>How long one that is served alone is watched before it is judged; and how long a step aside has to help before the next one.</summary>
    static readonly TimeSpan Trial = TimeSpan.FromSeconds(3);

    /// <summary>A node is slow that gets less than this part of what is possible.</summary>
    const double Slow = 0.5;

    /// <summary>A link crawls that gives less than this part of what is possible.</summary>
    const double Crawl = 0.25;

    /// <summary>Those that stand aside are told so again, lest they wait for one who has died (<see cref="ChainOptions.Aside"/>).</summary>
    static readonly TimeSpan Renewal = TimeSpan.FromSeconds(3);

    /// <summary>A step aside has helped when the others are faster by this.</summary>
    const double Helped = 1.3;

    sealed class Seen
    {
        public Queue<(TimeSpan At, long Head)> Heads { get; } = [];

        public ChainProgress? Last { get; set; }

        public double Rate { get; set; }

        public double Peak { get; set; }

        /// <summary>Over <see cref="PeakWindow"/>: whether it rests no more.</summary>
        public double Lately { get; set; }

        public bool Ended { get; set; }

        public bool Named { get; set; }

        public bool Aside { get; set; }

        public TimeSpan? BackAt { get; set; }

        public long Head => Last is null ? 0 : Last.Written + Last.RingBytes;

        public bool Runs => !Ended && !Aside && Last is not null;
    }

    readonly ImmutableArray<Seen> _nodes = [.. peers.Select(_ => new Seen())];
    readonly Dictionary<string, int> _places = peers.Select((p, i) => (Name: p.ToString(), i)).DistinctBy(p => p.Name).ToDictionary(p => p.Name, p => p.i);
    (int Place, SlowPart Part, TimeSpan Since, TimeSpan? CrawlsSince)? _suspect;
    (TimeSpan At, double Rate)? _moved;
    double _others;
    TimeSpan _toldAt;

    public void Report(int place, ChainProgress progress, TimeSpan now)
    {
        var node = _nodes[place];
        node.Last = progress;
        node.Heads.Enqueue((now, node.Head));
        while (node.Heads.Count > 2 && now - node.Heads.ElementAt(1).At >= Window)
        {
            node.Heads.Dequeue();
        }
        var (at, head) = node.Heads.Peek();
        node.Rate = now > at ? (node.Head - head) / (now - at).TotalSeconds : 0;
        foreach (var (earlier, had) in node.Heads.Where(h => now - h.At >= PeakWindow))
        {
            node.Lately = (node.Head - had) / (now - earlier).TotalSeconds;
            node.Peak = Math.Max(node.Peak, node.Lately);
        }
    }

    /// <summary>A node has everything, or failed.</summary>
    public void Ended(int place) => _nodes[place].Ended = true;

    /// <summary>What is to be done now because of what was reported.</summary>
    public StragglerAdvice Look(TimeSpan now)
    {
        var steps = Steps(now);
        return new StragglerAdvice(steps, [.. steps.SelectMany(s => Replans(s.Step, s.Who.Place)), .. Renewals(now)]);
    }

    IEnumerable<(int Place, ImmutableArray<ChainPeer> Upstreams)> Renewals(TimeSpan now)
    {
        if (now - _toldAt < Renewal)
        {
            return [];
        }
        _toldAt = now;
        return Enumerable.Range(0, _nodes.Length).Where(i => _nodes[i] is { Aside: true, BackAt: null, Ended: false }).Select(i => (i, ImmutableArray<ChainPeer>.Empty));
    }

    ImmutableArray<(int Place, ImmutableArray<ChainPeer> Upstreams)> Replans(StragglerStep step, int place) => step switch
    {
        StragglerStep.Aside =>
        [
            .. Enumerable.Range(0, _nodes.Length)
                .Where(i => !_nodes[i].Ended && !_nodes[i].Aside && links[i].Upstreams.Contains(peers[place]))
                .Select(i => (i, links[i].Upstreams.RemoveAll(u => _places.TryGetValue(u.ToString(), out var at) && _nodes[at].Aside))),
            (place, []),
        ],
        StragglerStep.Back => [(place, [links[place].Upstreams[^1]])],
        StragglerStep.Name or StragglerStep.Evict => [],
    };

    ImmutableArray<(StragglerStep Step, Straggler Who)> Steps(TimeSpan now)
    {
        var steps = ImmutableArray.CreateBuilder<(StragglerStep, Straggler)>();
        var running = Enumerable.Range(0, _nodes.Length).Where(i => _nodes[i].Runs).ToList();
        if (running.Count == 0 && _nodes.All(n => n.Ended || n.Aside))
        {
            Return(now, steps);
            return steps.ToImmutable();
        }
        _others = running.Select(i => _nodes[i].Rate).DefaultIfEmpty().Max();
        if (Suspect(running) is not { } suspect)
        {
            _suspect = null;
            return [];
        }
        var node = _nodes[suspect.Place];
        var seen = _suspect is { } before && before.Place == suspect.Place && before.Part == suspect.Part ? before : (suspect.Place, suspect.Part, now, null);
        seen.CrawlsSince = Math.Max(suspect.Rate, node.Lately) < Crawl * suspect.Possible ? seen.CrawlsSince ?? now : null;
        _suspect = seen;
        var isCertain = suspect.Part == SlowPart.Disk
            ? now - seen.Since >= DiskPersistence
            // A link that goes again is given the time to show it.
            : now - seen.CrawlsSince >= PersistenceOfCrawl || (now - seen.Since >= Persistence && IsSlow(node.Lately, suspect.Possible));
        if (!isCertain)
        {
            return [];
        }
        if (!node.Named)
        {
            node.Named = true;
            steps.Add((StragglerStep.Name, suspect));
        }
        if (rules.Policy != StragglerPolicy.Keep && MayMove(suspect, node, now))
        {
            node.Aside = true;
            _suspect = null;
            _moved = (now, _others);
            steps.Add((StragglerStep.Aside, suspect));
        }
        return steps.ToImmutable();
    }

    /// <summary>Few may stand aside, a step that did not help is the last, and near its end a node is let be.</summary>
    bool MayMove(Straggler suspect, Seen node, TimeSpan now) =>
        _nodes.Count(n => n.Aside) < Math.Max(1, _nodes.Length / 8)
        && _nodes.Length >= Few && _nodes.Count(n => n.Runs) > 1
        && (node.Last!.Total - node.Head) > Trial.TotalSeconds * suspect.Rate
        && (_moved is not { } moved || (now - moved.At >= Trial && _others >= Helped * moved.Rate));

    void Return(TimeSpan now, ImmutableArray<(StragglerStep, Straggler)>.Builder steps)
    {
        for (var i = 0; i < _nodes.Length; i++)
        {
            var node = _nodes[i];
            if (node is not { Aside: true, Ended: false })
            {
                continue;
            }
            if (node.BackAt is not { } back)
            {
                node.BackAt = now;
                node.Heads.Clear();
                steps.Add((StragglerStep.Back, new Straggler(i, Part(node), 0, 0)));
            }
            else if (rules.Policy == StragglerPolicy.Evict && now - back >= Trial && node.Rate < Math.Max(rules.FloorBytesPerSecond, Slow * (_moved?.Rate ?? 0) * Helped))
            {
                node.Ended = true;
                steps.Add((StragglerStep.Evict, new Straggler(i, Part(node), node.Rate, node.Peak)));
            }
        }
    }

    static SlowPart Part(Seen node) => IsFull(node) ? SlowPart.Disk : SlowPart.Link;

    /// <summary>The slowest of those with a full ring before and empty rings after them.</summary>
    Straggler? Suspect(List<int> running)
    {
        var children = running.ToLookup(i => SourceOf(i) ?? -1);
        Straggler? found = null;
        foreach (var place in running)
        {
            var node = _nodes[place];
            if (node.Last!.Upstream is null || node.Head >= node.Last.Total || node.Heads.Count < 3 || children[place].Any(c => !IsHungry(_nodes[c], node)))
            {
                continue;
            }
            var source = SourceOf(place) is { } parent ? _nodes[parent] : null;
            if (source is { Last: null })
            {
                continue; // nothing is known of its source yet
            }
            var disk = IsFull(node);
            if (!disk && source is not null && source.Head - node.Head < Capacity(source) / 2)
            {
                continue; // it has what its source has
            }
            var possible = source is null ? (disk ? node.Peak : 0) : Before(place);
            if (IsSlow(node.Rate, possible) && (found is null || node.Rate < found.Rate))
            {
                found = new Straggler(place, disk ? SlowPart.Disk : SlowPart.Link, node.Rate, possible);
            }
        }
        return found;
    }

    bool IsSlow(double rate, double possible) => rate < Slow * possible || rate < rules.FloorBytesPerSecond;

    /// <summary>The best rate that was seen at those from whom its bytes come.</summary>
    double Before(int place)
    {
        var (best, hops) = (0.0, 0);
        for (var at = SourceOf(place); at is { } source && hops++ < _nodes.Length; at = SourceOf(source))
        {
            best = Math.Max(best, _nodes[source].Peak);
        }
        return best;
    }

    int? SourceOf(int place) => _nodes[place].Last?.Upstream is { } upstream && _places.TryGetValue(upstream, out var source) && source != place ? source : null;

    static long Capacity(Seen node) => node.Last!.RingCapacity;

    static bool IsFull(Seen node) => node.Last is { } last && last.RingBytes >= last.RingCapacity * 3 / 4;

    /// <summary>It has nothing that it could still write, and nothing more to get.</summary>
    static bool IsHungry(Seen node, Seen source) => node.Last!.RingBytes <= Capacity(node) / 4 && source.Head - node.Head <= Capacity(source) / 4;
}
