namespace Ka.SystemTests.NodeSets;

/// <summary>Random node set expressions that both sides accept.</summary>
internal static class Expressions
{
    private static readonly string[] Prefixes = ["n", "node", "a-", "dc1n", "gris-", "x0y"];
    private static readonly string[] Suffixes = ["", "", "", "-ib", ".site", "-ib0"];
    private static readonly string[] Groups = ["@odd", "@rack1", "@rack[1-2]", "@both", "n*", "dc?n1*", "@*"];

    public static string Any(Random luck)
    {
        var text = Operand(luck);
        for (var i = luck.Next(6); i > 0; i--)
        {
            var blank = luck.Next(10) == 0 ? " " : "";
            text += blank + ",,,!&^"[luck.Next(6)] + blank + Operand(luck);
        }

        return text;
    }

    /// <summary>Single points in two or three dimensions close to each other: the hardest to fold.</summary>
    public static string Points(Random luck)
    {
        var (dimensions, side) = (luck.Next(2, 4), luck.Next(2, 14));
        var padded = luck.Next(3) == 0;
        return string.Join(',', Enumerable.Range(0, luck.Next(1, 120)).Select(_ => Point()));

        string Point()
        {
            var name = "";
            for (var d = 0; d < dimensions; d++)
            {
                var index = luck.Next(side).ToString();
                name += "abc"[d] + (padded && luck.Next(2) == 0 ? index.PadLeft(2, '0') : index);
            }

            return name;
        }
    }

    private static string Operand(Random luck) => luck.Next(12) switch
    {
        0 => Groups[luck.Next(Groups.Length)],
        1 => "login",
        2 or 3 => $"dc{Ranges(luck, 4)}n{Ranges(luck, 30)}",
        4 => $"dc{Ranges(luck, 3)}r{Ranges(luck, 4)}n{Ranges(luck, 9)}",
        5 => $"dc{luck.Next(1, 3)}n{luck.Next(1, 30)}",
        _ => Prefixes[luck.Next(Prefixes.Length)] + Ranges(luck, 120) + Suffixes[luck.Next(Suffixes.Length)],
    };

    private static string Ranges(Random luck, int most)
    {
        if (luck.Next(4) == 0)
        {
            return Index(luck, most);
        }

        return $"[{string.Join(',', Enumerable.Range(0, luck.Next(1, 5)).Select(_ => Range(luck, most)))}]";
    }

    private static string Range(Random luck, int most)
    {
        var (start, stop) = (luck.Next(most), luck.Next(most));
        (start, stop) = (Math.Min(start, stop), Math.Max(start, stop));
        var width = luck.Next(4) == 0 ? stop.ToString().Length + luck.Next(2) : 0;
        var text = luck.Next(3) == 0 ? start.ToString().PadLeft(width, '0') : $"{start.ToString().PadLeft(width, '0')}-{stop.ToString().PadLeft(width, '0')}";
        return text.Contains('-') && luck.Next(5) == 0 ? $"{text}/{luck.Next(1, 5)}" : text;
    }

    private static string Index(Random luck, int most) => luck.Next(most).ToString().PadLeft(luck.Next(5) == 0 ? 3 : 0, '0');
}
